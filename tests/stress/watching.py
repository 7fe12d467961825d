"""A reader that holds states of an index and asks all the time, while others write to it and are killed."""

from __future__ import annotations

import multiprocessing.synchronize
import random
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from oracle import State, state

import clipdb

HELD = 3
Event = threading.Event | multiprocessing.synchronize.Event


def watch(
    index: Path, before: State, after: State, whole: bool, stop: Event, seed: int, count: Any, rest: float = 0
) -> None:
    """Ask until told to stop; fail where an answer is none of a published state.

    Parameters
    ----------
    before, after
        What is there before the command and after it.
    whole
        Whether there is nothing between the two.
    count
        Where the number of answers goes.
    rest
        How long to pause after an answer, times what it took.
    """
    chance, held = random.Random(seed), deque[tuple[clipdb.Index, State]]()
    try:
        while not stop.is_set():
            if not index.exists():
                stop.wait(0.01)
                continue
            began = time.monotonic()
            opened = clipdb.open(index, models=False)
            held.append((opened, asked(opened)))
            check(held[-1][1], before, after, whole)
            count.value += 1
            while len(held) > chance.randrange(HELD):
                opened, earlier = held[0]
                assert asked(opened) == earlier, "a held state has changed"
                held.popleft()
                opened.close()
                count.value += 1
            stop.wait(rest * (time.monotonic() - began))
    finally:
        for opened, _ in held:
            opened.close()


def asked(index: clipdb.Index) -> State:
    def vectors(_: str, kind: str) -> list[tuple[str, str, int]]:
        key = f"{kind[:-1]}_id"
        return index.sql(f"select {key}, _run, _batch from {kind[:-1]}_vectors").fetchall()

    return state(lambda sql: index.sql(sql).fetchall(), vectors)


def check(found: State, before: State, after: State, whole: bool) -> None:
    if whole:
        assert found in (before, after), [name for name, rows in found.items() if rows != before.get(name)]
    for name, rows in found.items():
        old, new = set(before.get(name, [])), set(after.get(name, []))
        assert old & new <= set(rows) <= old | new, f"{name}: {set(rows) - old - new}"
