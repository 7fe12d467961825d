"""A folder of tar shards, Parquet files or others that hold images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import open_source, source_kinds
from clipdb.ingest.images.sources.item import IMAGES, SourceItem
from clipdb.ingest.images.sources.source import Source, Sources
from clipdb.ingest.images.sources.walk import unread_kind, unread_kinds, walk


class ShardFolder(Source):
    """The images in the files under `path`, to any depth, which are of the first kind that any of them has.

    Raises
    ------
    ClipdbError
        When a folder under it can't be read, or there is no such file.
    """

    order = 3  # a folder with images has been taken

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._shards = Sources([open_source(file) for file in _shards(path)])
        self.total = self._shards.total

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a path is a folder."""
        return Path(path).is_dir()

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images, shard by shard."""
        yield from self._shards
        self.left_out = self._shards.left_out

    def shards(self) -> Iterator[Source]:
        """Yield the shards of each file."""
        return self._shards.shards()


def _shards(folder: str) -> list[str]:
    files = []
    for entry in walk(folder):
        if isinstance(entry, OSError):
            raise ClipdbError(f"{entry.filename} cannot be read: {entry.strerror}")
        files.append(entry)
    for kind in source_kinds():
        if shards := [file for file in files if file.lower().endswith(kind.suffixes)]:
            return shards
    unread = Counter(suffix for file in files for suffix in unread_kind(file))
    has = f"; it has {unread_kinds(unread)}" if unread else ""
    raise ClipdbError(f"no images in {folder}: no {' '.join(IMAGES)} file and no tar or Parquet shard{has}")


SOURCE = ShardFolder
