"""Small pictures of images, made once: one SQLite file for all indexes, since an image is known by its content."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from io import BytesIO
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index

SIDE = 256
LARGE_SIDE = 1600
"""Pixels of the longer side, of small and of large pictures."""

MOST_BYTES = 2**30
_ONE_IN = 200  # pictures, after which the size is looked at
_QUALITY = 82


class Thumbnails:
    """Small pictures by image_id, those used last.

    Parameters
    ----------
    file
        The SQLite file; in memory where it can't be written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._added = 0
        try:
            file = file or _default_file()
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._opened(str(file))
        except (OSError, sqlite3.Error):
            self._database = self._opened(":memory:")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @property
    def size(self) -> tuple[int, int]:
        """How many pictures are kept, and their bytes."""
        with self._lock:
            number, size = self._database.execute("select count(*), total(length(data)) from pictures").fetchone()
        return number, int(size)

    def get(self, index: Index, image_id: str) -> bytes | None:
        """Return an image's small picture as WebP; None where its file is gone, changed or can't be decoded.

        Parameters
        ----------
        index
            The index that knows where the image is, and the export that may have a small picture of it.
        image_id
            SHA-256 of its file.
        """
        with self._lock:
            row = self._database.execute("select data from pictures where image_id = ?", [image_id]).fetchone()
            if row is not None:
                self._database.execute("update pictures set used = ? where image_id = ?", [time.time(), image_id])
                return bytes(row[0])
        data = original(index, image_id)
        if data is None:  # what an export shows of an image was never checked: it is not kept for other indexes
            small = index.thumbnails([image_id]).get(image_id)
            return None if small is None else reencoded(small, SIDE)
        made = reencoded(data, SIDE)
        if made is not None:
            self._add(image_id, made)
        return made

    def _add(self, image_id: str, data: bytes) -> None:
        with self._lock:
            add = "insert or replace into pictures values (?, ?, ?)"
            self._database.execute(add, [image_id, data, time.time()])
            self._added += 1
            if self._added % _ONE_IN == 0:
                self._database.execute(
                    "delete from pictures where image_id in (select image_id from ("
                    "select image_id, sum(length(data)) over (order by used desc) as size from pictures"
                    ") where size > ?)",
                    [MOST_BYTES],
                )

    def _opened(self, name: str) -> sqlite3.Connection:
        database = sqlite3.connect(name, check_same_thread=False, isolation_level=None, timeout=5)
        database.execute("pragma journal_mode = wal")
        database.execute("create table if not exists pictures (image_id text primary key, data blob, used real)")
        return database


def original(index: Index, image_id: str) -> bytes | None:
    """Read an image's file; None if it is not where it was, or not the same any more."""
    from clipdb.ingest.images.sources.uri import read_known

    found = index.execute("select uri from images where image_id = $image_id", {"image_id": image_id}).fetchall()
    try:
        return read_known(image_id, found[0][0]) if found and found[0][0] else None
    except ClipdbError:
        return None


def reencoded(data: bytes, side: int) -> bytes | None:
    """Decode a picture and encode it again, so that nothing but pixels reaches a browser; None if it is none."""
    from PIL import Image

    from clipdb.models.preprocess import Undecodable, decode_whole

    try:
        picture = decode_whole(data)
    except Undecodable:
        return None
    small = max(picture.size) <= SIDE
    if max(picture.size) < SIDE // 2:  # enlarged without smoothing: what the model saw is what is shown
        scale = SIDE // max(picture.size)
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    picture.thumbnail((side, side))
    made = BytesIO()
    picture.save(made, "WEBP", quality=_QUALITY, lossless=small)
    return made.getvalue()


def _default_file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "clipdb" / "thumbnails.db"
