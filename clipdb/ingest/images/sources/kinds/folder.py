"""A folder of image files, walked in sorted order without holding its list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from clipdb._util.notes import note
from clipdb.ingest.images.sources.item import SourceItem, clean, failed_item, file_item, is_image, split_of
from clipdb.ingest.images.sources.source import Source
from clipdb.ingest.images.sources.walk import unread_kind, unread_kinds, walk


class Folder(Source):
    """The images under `path`, to any depth; hidden files and folders are left out.

    The split is read off the folder's own name or those right below it (``train``, ``val``, ``test``).
    """

    order = 2
    listed = True

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a path is a folder with an image somewhere in it."""
        return Path(path).is_dir() and any(is_image(entry) for entry in walk(path) if isinstance(entry, str))

    @cached_property
    def total(self) -> int:  # type: ignore[override] # counted when it is asked for
        """Count the items by walking the folder once."""
        return sum(1 for entry in walk(self.path) if isinstance(entry, OSError) or is_image(entry))

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images, folder by folder; a folder that may not be read is an item that fails.

        Pictures of kinds that are not read are counted on stderr.
        """
        root = PurePosixPath(self.path)
        unread: Counter[str] = Counter()
        for entry in walk(self.path):
            if isinstance(entry, OSError):
                yield failed_item(clean(str(entry.filename)), f"the folder cannot be read: {entry.strerror}")
            elif is_image(entry):
                below = PurePosixPath(entry).relative_to(root).parts[:-1]
                yield file_item(entry, split=(split_of(below[0]) if below else None) or split_of(root.name))
            else:
                unread.update(unread_kind(entry))
        if unread:
            note(f"note: left out of {clean(self.path)}: {unread_kinds(unread)}")


SOURCE = Folder
