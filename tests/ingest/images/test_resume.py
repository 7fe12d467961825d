"""Ingests that are stopped at any point, and finished by the same command."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from effort import tries
from support import (
    Process,
    alive,
    assert_same,
    assert_same_vectors,
    change,
    children,
    done,
    rows,
    table,
    until,
    verified,
)

SMALL = ("--batch-size", 1, "--workers", 1)  # a commit every 16 images


def versions(index: Path) -> int:
    """Count the commits that Lance has seen, those of images that DuckDB has not heard of too."""
    newest: dict[Path, int] = {}
    for file in (index / "vectors").glob("*/_versions/*.manifest"):
        number = 2**64 - 1 - int(file.stem)  # Lance names them so that the newest comes first
        newest[file.parent] = max(number, newest.get(file.parent, 0))
    return sum(newest.values())


def killed(process: Process, index: Path, commits: int, delay: float) -> bool:
    """Kill a run some time after Lance has taken some more commits; say whether it was still at it."""
    before = versions(index)
    until(lambda: versions(index) >= before + commits or not process.runs, every=0.001)
    time.sleep(delay)
    started = children(process.pid)
    with suppress(ProcessLookupError):  # it may be done already
        process.signal(signal.SIGKILL)
    code = process.wait()
    assert until(lambda: not any(alive(pid) for pid in started)), "decoders outlive the ingest"
    return code == -signal.SIGKILL


def test_kills_lose_and_double_nothing(scenes: Path, model: tuple, ready_index: Path, tmp_path: Path) -> None:
    index = tmp_path / "killed.clipdb"
    command = ("ingest", "images", scenes, *model, *SMALL, "-i", index)
    chance = random.Random(11)
    kills = 0
    while kills < tries(5, 30):
        # Half of them between Lance's commit and DuckDB's, which comes some milliseconds later.
        delay = 0.0 if kills % 2 else chance.uniform(0, 0.15)
        kills += killed(Process(tmp_path / "log", *command), index, 1, delay)
        held = {one for (one,) in rows(index, "select image_id from images")} if versions(index) else set()
        if rows(index, "select 1 from batches limit 1"):
            assert set(table(index).ids) == held
    last = Process(tmp_path / "log", *command)
    assert last.wait() == 0, (tmp_path / "log").read_text()
    assert_same(index, ready_index)
    verified(index)
    (added,) = rows(index, "select sum(added), count(*) from batches where kind = 'images'")
    assert added[0] == 300 and added[1] > 5


def test_kills_at_the_end_of_a_run(
    pictures: list[Path], model: tuple, some: Callable[[slice], Path], tmp_path: Path
) -> None:
    """Where small files are merged, ids indexed, old versions deleted and statistics taken."""
    index, folder = tmp_path / "killed.clipdb", tmp_path / "growing"
    folder.mkdir()
    command = ("ingest", "images", folder, *model, "--workers", 0, "-i", index)
    chance = random.Random(12)
    for step in range(tries(3, 6)):
        for file in pictures[step * 8 : step * 8 + 8]:
            os.link(file, folder / file.name)
        killed(Process(tmp_path / "log", *command), index, 1, chance.uniform(0.02, 0.25))
    assert done(*command).endswith("failed 0\n")
    straight = tmp_path / "straight.clipdb"
    done("ingest", "images", folder, *model, "--workers", 0, "-i", straight)
    assert_same(index, straight)
    verified(index)


def test_what_a_kill_left_undone_is_done_though_no_image_is_new(
    own_index: Path, scenes: Path, model: tuple, ready_index: Path
) -> None:
    # As a kill after the last commit leaves it.
    change(own_index, "update head_statistics set mean = null, total_variance = null, effective_rank = null")
    change(own_index, "update runs set finished_at = null where command = 'ingest images'")
    assert "added 0, skipped 300" in done("ingest", "images", scenes, *model, "--workers", 0, "-i", own_index)
    assert_same(own_index, ready_index)
    verified(own_index)
    batches = rows(own_index, "select * from batches order by all")
    done("ingest", "images", scenes, *model, "--workers", 0, "-i", own_index)
    assert rows(own_index, "select * from batches order by all") == batches


def test_kills_while_layers_are_added(own_index: Path, scenes: Path, model: tuple, tmp_path: Path) -> None:
    command = ("ingest", "images", scenes, *model, *SMALL, "--layers", "all", "-i", own_index)
    before = table(own_index)
    chance = random.Random(13)
    for step in range(tries(2, 4)):
        # The first four are of new columns and of the first batch, of which DuckDB may not have heard.
        commits = 8 if step % 2 else 4
        assert killed(Process(tmp_path / "log", *command), own_index, commits, chance.uniform(0, 0.1))
        now = table(own_index)
        assert now.ids == before.ids
    assert "l0h0" in now.heads
    done("ingest", "images", scenes, *model, "--layers", "all", "--workers", 0, "-i", own_index)
    straight = tmp_path / "straight.clipdb"
    done("ingest", "images", scenes, *model, "--layers", "all", "--workers", 0, "-i", straight)
    assert_same(own_index, straight)
    verified(own_index)
    assert set(table(own_index, "texts").heads) == set(table(own_index).heads)


def test_ctrl_c_keeps_what_was_computed(scenes: Path, model: tuple, ready_index: Path, tmp_path: Path) -> None:
    index, log = tmp_path / "stopped.clipdb", tmp_path / "log"
    process = Process(log, "ingest", "images", scenes, *model, *SMALL, "-i", index)
    assert until(lambda: versions(index) >= 3, every=0.001)  # so DuckDB knows of two
    started = children(process.pid)
    process.signal(signal.SIGINT)
    assert process.wait() == 130
    said = log.read_text()
    assert until(lambda: not any(alive(pid) for pid in started))
    ((recorded, finished),) = rows(index, "select added, finished_at from runs")
    (images,) = rows(index, "select count(*) from images")[0]
    assert said == f"Stopped: {images} images are in; the same command resumes.\n"
    assert 32 <= images == recorded == len(table(index).ids) < 300
    assert finished is None
    assert f"added {300 - images}, skipped {images}," in done(
        "ingest", "images", scenes, *model, "--workers", 0, "-i", index
    )
    assert_same(index, ready_index)
    verified(index)


@pytest.mark.parametrize("moment", ["created", "columns"])
def test_a_kill_before_the_first_commit(
    moment: str, pictures: list[Path], model: tuple, ready_index: Path, tmp_path: Path
) -> None:
    """A new table, or new columns, of which DuckDB has not heard."""
    import lance
    import pyarrow as pa

    if moment == "created":
        index = tmp_path / "new.clipdb"
        done("ingest", "texts", "--pool", "scenes", "-i", index)  # an index without images
        path = index / "vectors" / "clipdb-tiny__random.images.lance"
        lance.write_dataset(pa.table({"image_id": ["0" * 64]}), str(path))
    else:
        index = Path(shutil.copytree(ready_index, tmp_path / "copy.clipdb"))
        path = index / "vectors" / "clipdb-tiny__random.images.lance"
        lance.dataset(str(path)).add_columns(pa.schema([pa.field("l0h0", pa.list_(pa.float16(), 32))]))
    done("ingest", "images", *pictures[:3], *model, "--workers", 0, "-i", index)
    stored = table(index)
    assert "l0h0" not in stored.heads
    whole = table(ready_index)
    kept = [whole.ids.index(one) for one in stored.ids]
    assert len(kept) == (3 if moment == "created" else 300)
    whole.ids = stored.ids
    whole.columns = {name: matrix[kept] for name, matrix in whole.columns.items()}
    assert_same_vectors(stored, whole)
    verified(index)
