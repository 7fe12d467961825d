"""What a source of images is, and several of them one after the other."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from clipdb.ingest.images.sources.item import SourceItem

SLICE = 512
"""Images in a shard of files that are listed: few enough to keep many machines busy to the end."""


class Source(ABC):
    """The images of one path. A kind of source is a subclass, which has to say at least how to yield items.

    Attributes
    ----------
    path
        What was named, an absolute path.
    suffixes
        Endings of the kind's files, in lower case. A folder without images stands for the files in it that have them.
    order
        Kinds of a lower order are asked first whether a path is theirs.
    total
        Number of items, None where it isn't known without reading them.
    left_out
        How many links, pipes and devices have been passed over, known at the end.
    listed
        Whether the items are files of their own: then they are listed once, and other machines read just those.
    """

    suffixes: tuple[str, ...] = ()
    order = 1
    total: int | None = None
    left_out = 0
    listed = False

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a path is of this kind."""
        return path.lower().endswith(cls.suffixes) and not Path(path).is_dir()

    @abstractmethod
    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the items, on every pass in the same order; what can't be read is an item that fails."""

    def shards(self) -> Iterator[Source]:
        """Yield sources that have the same items in the same order together, each to be read by one machine.

        They are pickled, and read where the path is the same file. Default: lists of `SLICE` images, or else one source
        that opens the path where it is read.
        """
        return _slices(self.path, self) if self.listed else iter([_Whole(self.path)])

    def read(self, part: str) -> bytes | None:
        """Read one image again by what its uri has after the path and ``#``; None if no image is called so."""
        return None


class Listed(Source):
    """Images that another source has named, as files of their own: they take little room on the way to a machine.

    Parameters
    ----------
    path
        Of the source that names them.
    items
        The images.
    """

    def __init__(self, path: str, items: Sequence[SourceItem]) -> None:
        super().__init__(path)
        self.total = len(items)
        self._items = items

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield them."""
        yield from self._items


class _Whole(Source):
    """All of a path, opened where it is read: what has it open can't be sent."""

    def __iter__(self) -> Iterator[SourceItem]:
        from clipdb.ingest.images.sources import open_source

        source = open_source(self.path)
        yield from source
        self.left_out = source.left_out


def _slices(path: str, items: Iterable[SourceItem]) -> Iterator[Source]:
    rest = iter(items)
    while part := list(itertools.islice(rest, SLICE)):
        yield Listed(path, part)


class Sources:
    """All images of several sources, in the order in which they were given; may be iterated again.

    Items of shards hold their bytes: keep few of them at a time.
    """

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield every item; equal arguments give an equal order."""
        return itertools.chain.from_iterable(self.parts)

    def shards(self) -> Iterator[Source]:
        """Yield the shards of all sources; images that are listed one after the other are cut together."""
        for listed, parts in itertools.groupby(self.parts, lambda part: part.listed):
            if listed:
                several = list(parts)
                yield from _slices(several[0].path, itertools.chain.from_iterable(several))
            else:
                yield from itertools.chain.from_iterable(part.shards() for part in parts)

    @cached_property
    def total(self) -> int | None:
        """Number of items; None when it is not known without reading all (tar shards)."""
        counts = [part.total for part in self.parts]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def left_out(self) -> int:
        """Number of links, pipes and devices in the sources that have been read to their end."""
        return sum(part.left_out for part in self.parts)
