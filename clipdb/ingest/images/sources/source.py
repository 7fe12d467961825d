"""What a source of images is, and several of them one after the other."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from clipdb.ingest.images.sources.item import SourceItem


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
    """

    suffixes: tuple[str, ...] = ()
    order = 1
    total: int | None = None
    left_out = 0

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a path is of this kind."""
        return path.lower().endswith(cls.suffixes) and not Path(path).is_dir()

    @abstractmethod
    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the items, on every pass in the same order; what can't be read is an item that fails."""

    def read(self, part: str) -> bytes | None:
        """Read one image again by what its uri has after the path and ``#``; None if no image is called so."""
        return None


class Sources:
    """All images of several sources, in the order in which they were given; may be iterated again.

    Items of shards hold their bytes: keep few of them at a time.
    """

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield every item; equal arguments give an equal order."""
        return itertools.chain.from_iterable(self.parts)

    @cached_property
    def total(self) -> int | None:
        """Number of items; None when it is not known without reading all (tar shards)."""
        counts = [part.total for part in self.parts]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def left_out(self) -> int:
        """Number of links, pipes and devices in the sources that have been read to their end."""
        return sum(part.left_out for part in self.parts)
