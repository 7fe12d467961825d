"""How much of a vector index has to be searched for enough of the nearest to be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

RECALL = 0.99
"""Share of the ten nearest that a search has to find, by more than chance may add."""

_ERRORS = 2  # standard errors that chance may add


def fewest(start: int, most: int, shares: Callable[[int], Sequence[float]], least: float = RECALL) -> tuple[int, float]:
    """Return how many parts, or images, have to be looked at, and the recall then.

    Parameters
    ----------
    start, most
        The number that is tried first, and is doubled until it is enough or the most there may be.
    shares
        Returns for a number the share of the ten nearest that each question finds.
    least
        Share that is enough, on average over the questions.
    """
    number = start
    while True:
        found = shares(number)
        chance = _ERRORS * np.std(found) / len(found) ** 0.5
        if np.mean(found) - chance >= least or number >= most:
            return number, float(np.mean(found))
        number = min(2 * number, most)
