"""One image file."""

from __future__ import annotations

from collections.abc import Iterator

from clipdb.ingest.images.sources.item import IMAGES, SourceItem, file_item
from clipdb.ingest.images.sources.source import Source


class Image(Source):
    """The image file `path`."""

    suffixes = IMAGES
    total = 1
    listed = True

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield it."""
        yield file_item(self.path)


SOURCE = Image
