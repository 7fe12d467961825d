"""What there is to do on a cluster: shards, handed out again where an actor died over them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from clipdb.ingest.images.cluster.protocol import Look, Stored
from clipdb.ingest.images.sources import Source, Sources
from clipdb.ingest.images.sources.item import clean

LIVES = 3


@dataclass(eq=False)
class Shard:
    """Part of a source that one actor reads at a time.

    Attributes
    ----------
    source
        Its images.
    done
        How many of them are dealt with.
    deaths
        How many actors died since then while they had it.
    """

    source: Source
    done: int = 0
    deaths: int = 0

    @property
    def name(self) -> str:
        """What it is called in messages and in ``image_failures``."""
        return clean(self.source.path)


@dataclass(eq=False)
class Window:
    """What an actor holds of a shard; ``asked`` once it embeds what is ``claimed`` of it, and then ``stored``."""

    shard: Shard
    ticket: int
    look: Look
    asked: bool = False
    claimed: frozenset[str] = frozenset()
    stored: Stored | None = None


class Shards:
    """The shards of sources that are still to be read.

    Attributes
    ----------
    given_up
        Those over which `LIVES` actors died.
    """

    def __init__(self, sources: Sources) -> None:
        self._more: Iterator[Source] = sources.shards()
        self._again: deque[Shard] = deque()
        self._open: set[Shard] = set()
        self._all_begun = False
        self.given_up: list[Shard] = []

    def next(self, alone: bool) -> Shard | None:
        """Take a shard.

        Parameters
        ----------
        alone
            Whether the actor that reads it does nothing else: one over which an actor died is given to no other, so
            that it is known what the next one dies over.
        """
        for shard in self._again:
            if alone or not shard.deaths:
                self._again.remove(shard)
                self._open.add(shard)
                return shard
        source = next(self._more, None)
        if source is None:
            self._all_begun = True
            return None
        self._open.add(shard := Shard(source))
        return shard

    def died(self, shard: Shard) -> None:
        """Hand a shard out again from where it was dealt with, or give it up."""
        self._open.discard(shard)
        shard.deaths += 1
        (self.given_up if shard.deaths >= LIVES else self._again).append(shard)

    def dealt_with(self, window: Window) -> bool:
        """Note that a window is done; return whether its shard is, too."""
        window.shard.done += len(window.look.ids)
        window.shard.deaths = 0
        if window.look.last:
            self._open.discard(window.shard)
        return window.look.last

    @property
    def finished(self) -> bool:
        """Whether all has been dealt with or given up."""
        return self._all_begun and not self._open and not self._again
