"""Pictures that people brought: files of this process's own, forgotten when it ends."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from clipdb.errors import ClipdbError

MOST = 100
"""Pictures kept; the oldest goes first."""


class Uploads:
    """Pictures by image_id, the SHA-256 of their bytes."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="clipdb-uploads-")
        self._names: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Delete the pictures."""
        self._folder.cleanup()

    def add(self, data: bytes, name: str) -> str:
        """Keep a picture.

        Parameters
        ----------
        data
            The file's bytes.
        name
            What its owner calls it; only shown.

        Returns
        -------
        str
            Its image_id.

        Raises
        ------
        ClipdbError
            If it is no picture.
        """
        from clipdb.models.preprocess import Undecodable, decode_whole

        if not data:
            raise ClipdbError("no file was chosen: choose a picture")
        shown = Path(name.replace("\\", "/")).name[:200] or "the file"
        try:
            decode_whole(data)
        except Undecodable as error:
            raise ClipdbError(
                f"{shown} can't be read as an image: choose a JPEG, PNG, WebP or another picture"
            ) from error
        image_id = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._file(image_id).write_bytes(data)
            self._names[image_id] = shown
            while len(self._names) > MOST:
                self._file(self._names.popitem(last=False)[0]).unlink(missing_ok=True)
        return image_id

    def name(self, image_id: str) -> str | None:
        """Return what a picture was called; None if there is no such picture."""
        return self._names.get(image_id)

    def path(self, image_id: str) -> Path | None:
        """Return a picture's file; None if there is no such picture."""
        return self._file(image_id) if image_id in self._names else None

    def _file(self, image_id: str) -> Path:
        return Path(self._folder.name) / image_id
