"""Work on the rows of a large matrix, shared between as many threads as there are processors."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_LEAST = 32_768  # rows that are worth a thread


def on_threads(rows: int, work: Callable[[slice], None]) -> None:
    """Call a function with slices that together are all rows, each in a thread of its own where there are many rows.

    Parameters
    ----------
    rows
        How many there are.
    work
        Does what has to be done with some of them; NumPy lets other threads run meanwhile.
    """
    threads = min(os.cpu_count() or 1, rows // _LEAST)
    if threads < 2:
        work(slice(0, rows))
        return
    step = -(-rows // threads)
    with ThreadPoolExecutor(threads) as pool:
        # A list, so that what a thread raises is raised here.
        list(pool.map(work, [slice(start, min(start + step, rows)) for start in range(0, rows, step)]))
