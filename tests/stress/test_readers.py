"""Eight readers without pause, and one connection held open: an ingest comes to its end, and no reader fails."""

from __future__ import annotations

from pathlib import Path

import oracle
from forking import FORKED
from support import Process, done, until
from watching import asked, watch

import clipdb

READERS = 8


def test_readers_without_pause_neither_fail_nor_keep_a_writer_waiting(
    pictures: list[Path], model: tuple[object, ...], tmp_path: Path
) -> None:
    index, straight = tmp_path / "read.clipdb", tmp_path / "straight.clipdb"
    ingest = ("ingest", "images", *model, "--workers", 0, "--batch-size", 1)
    done(*ingest, *pictures[:16], "-i", index)
    done(*ingest, *pictures[:40], "-i", straight)
    (before, _), (after, _) = (oracle.stored(one) for one in (index, straight))
    stop, counts = FORKED.Event(), [FORKED.Value("i", 0) for _ in range(READERS)]
    readers = [
        FORKED.Process(target=watch, args=(index, before, after, False, stop, seed, count))
        for seed, count in enumerate(counts)
    ]
    with clipdb.open(index) as held:
        for one in readers:
            one.start()
        try:
            assert until(lambda: all(count.value for count in counts))
            asked_before = [count.value for count in counts]
            assert Process(tmp_path / "log", *ingest, *pictures[:40], "-i", index).wait(600) == 0
            assert until(lambda: all(now.value > then for now, then in zip(counts, asked_before, strict=True)))
        finally:
            stop.set()
            for one in readers:
                one.join()
        assert [one.exitcode for one in readers] == [0] * READERS
        assert asked(held) == before and held.stale
    done(*ingest, *pictures[:41], "-i", index)  # what readers held goes with the next
    assert not list(oracle.leftovers(index))
