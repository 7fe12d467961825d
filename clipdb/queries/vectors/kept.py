"""What was computed or read last, as long as it fits into so many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast


class Sized(Protocol):
    """What can be kept."""

    @property
    def nbytes(self) -> int:
        """How much it takes."""


Thing = TypeVar("Thing", bound=Sized)


class Kept:
    """Keeps what was used last; what was used longest ago goes first.

    Parameters
    ----------
    limit
        How many bytes to keep. The last thing stays, however large it is.

    Attributes
    ----------
    limit, lock
        The limit, and what a thread holds while it makes something.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lock = threading.RLock()
        self._things: OrderedDict[Hashable, Sized] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """How much is kept."""
        with self.lock:
            return sum(thing.nbytes for thing in self._things.values())

    def get(self, key: Hashable) -> Sized | None:
        """Return what is kept under a key, which counts as a use of it; None where nothing is."""
        with self.lock:
            if key in self._things:
                self._things.move_to_end(key)
            return self._things.get(key)

    def keep(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """Return what is kept under a key, made when it is first asked for or was dropped since."""
        with self.lock:
            found = self.get(key)
            if found is None:
                found = make()  # which may itself keep what it reads
                self._things[key] = found
                self._drop(0, 1)
            return cast(Thing, found)

    def make_room(self, coming: int) -> None:
        """Drop things until the rest fits together with bytes that are about to come."""
        with self.lock:
            self._drop(coming, 0)

    def _drop(self, coming: int, least: int) -> None:
        while self.nbytes + coming > self.limit and len(self._things) > least:
            self._things.popitem(last=False)
