"""A folder in an object store: its images, or its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import open_source, source_kinds
from clipdb.ingest.images.sources.files import is_file, stored_files
from clipdb.ingest.images.sources.item import IMAGES, SourceItem, clean, file_item, is_image, split_of
from clipdb.ingest.images.sources.source import Source, Sources
from clipdb.ingest.images.sources.walk import unread_kind, unread_kinds
from clipdb.stores.address import is_store


class StoredFolder(Source):
    """The images below `path` in a store, to any depth; where there are none, the shards of the first kind there is.

    It is listed once, and its names are held.

    Raises
    ------
    ClipdbError
        When nothing of this is there, or the store refuses or fails.
    """

    order = 0  # asked first, since others take what they don't know on a disk for a list

    def __init__(self, path: str) -> None:
        super().__init__(path)
        files = stored_files(path)
        self._images = [file for file in files if is_image(file)]
        self._unread = Counter(suffix for file in files for suffix in unread_kind(file))
        self._shards = None if self._images else Sources([open_source(file) for file in self._of_one_kind(files)])
        self.total = self._shards.total if self._shards is not None else len(self._images)

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a path is in a store, and no object there; one with a shard's or an image's name is one."""
        named = any(kind.suffixes and path.lower().endswith(kind.suffixes) for kind in source_kinds())
        return is_store(path) and not named and not is_file(path)

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images, or those of shard after shard."""
        if self._shards is not None:
            yield from self._shards
            self.left_out = self._shards.left_out
            return
        root = PurePosixPath(self.path)
        for file in self._images:
            below = PurePosixPath(file).relative_to(root).parts[:-1]
            yield file_item(file, split=(split_of(below[0]) if below else None) or split_of(root.name))
        if self._unread:
            note(f"note: left out of {clean(self.path)}: {unread_kinds(self._unread)}")

    def _of_one_kind(self, files: list[str]) -> list[str]:
        for kind in source_kinds():
            if shards := [file for file in files if kind.suffixes and file.lower().endswith(kind.suffixes)]:
                return shards
        has = f"; it has {unread_kinds(self._unread)}" if self._unread else ""
        raise ClipdbError(f"no images in {self.path}: no {' '.join(IMAGES)} file and no tar or Parquet shard{has}")


SOURCE = StoredFolder
