"""Ingest on a real Ray cluster: what one process makes, whoever dies meanwhile."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import oracle
import pyarrow.parquet as pq
import pytest
import ray_cluster
import ray_sources
from support import done, refused, rows, table, verified

import clipdb
from clipdb import demo

MODEL = "clipdb-tiny/scenes"
PICTURES = 280  # enough for ten kills, between which some have to be committed


def write_tar(path: Path, files: list[Path]) -> None:
    with tarfile.open(path, "w") as archive:
        for place, file in enumerate(files):
            archive.add(file, f"{place:03}-{file.name}")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder in which a cluster has worked, and what it said of each ingest."""
    if reason := ray_cluster.why_not():
        pytest.skip(f"no namespace of its own for Ray's ports: {reason}")
    folder = tmp_path_factory.mktemp("cluster")
    pictures = [path for path, _ in demo.write_scenes(folder / "scenes", PICTURES, 5)]
    (folder / "broken.png").write_bytes(pictures[0].read_bytes()[:200])
    for name in ("tars", "slow", "plugin"):
        (folder / name).mkdir()
    for place in range(6):
        files = pictures[20 * place : 20 * place + 20]
        write_tar(folder / "tars" / f"{place}.tar", files if place else [folder / "broken.png", *files[1:]])
    # The first picture of each is the last of the one before, and one is in all of them.
    for place in range(PICTURES // 10):
        files = pictures[10 * place : 10 * place + 11]
        write_tar(folder / "slow" / f"{place:02}.slowtar", [pictures[77], *files])
    write_tar(folder / "nobody.poisoned", pictures[:8])
    ray_sources.install(folder / "plugin")
    script = Path(__file__).with_name("on_cluster.py")
    printed = ray_cluster.run_apart(script, folder, path=[folder / "plugin"], seconds=500)
    return folder, dict(line.split(": ", 1) for line in printed.splitlines() if ": " in line)


def test_a_cluster_makes_what_one_process_makes_bit_for_bit(ran: tuple[Path, dict[str, str]]) -> None:
    folder, said = ran
    assert said["equal"] == "119 0 1"
    alone = folder / "alone.clipdb"
    done("ingest", "images", folder / "tars", "--model", MODEL, "--batch-size", 10, "--workers", 1, "-i", alone)
    oracle.assert_equal(folder / "equal.clipdb", alone)
    ours, theirs = (table(index, model=MODEL) for index in (folder / "equal.clipdb", alone))
    assert ours.ids == theirs.ids and len(ours.ids) == 119
    for name, matrix in theirs.columns.items():
        np.testing.assert_array_equal(ours[name], matrix, err_msg=name)
    assert not list(oracle.leftovers(folder / "equal.clipdb"))


def test_nodes_write_vectors_to_a_store(ran: tuple[Path, dict[str, str]]) -> None:
    folder, said = ran
    assert said["stored"] == said["equal"]
    with clipdb.open(folder / "equal.clipdb") as db:
        equal = db.sql("select * exclude (_run, _batch) from image_vectors order by image_id").to_arrow_table()
    assert len(equal) == 119
    assert pq.read_table(folder / "stored.parquet").to_pylist() == equal.to_pylist()
    assert not any((folder / "stored.clipdb" / "vectors").iterdir())


def test_spans_on_a_cluster_are_those_of_one_process(ran: tuple[Path, dict[str, str]]) -> None:
    folder, said = ran
    assert said["spanned"] == "24"
    alone = shutil.copytree(folder / "equal.clipdb", folder / "spanned-alone.clipdb", symlinks=True)
    done("span", "--pool", "scenes", "--device", "cpu", "-i", alone)
    for question in (
        "select * exclude (run) from spans order by all",
        "select layer, head, mean, total_variance, effective_rank from heads order by all",
    ):
        assert rows(folder / "spanned.clipdb", question) == rows(alone, question) != []


def test_nothing_is_lost_or_doubled_whoever_is_killed(ran: tuple[Path, dict[str, str]]) -> None:
    folder, said = ran
    index = folder / "kills.clipdb"
    assert (said["first driver"], said["second driver"]) == ("actor driver", "raylet actor driver")
    assert said["poisoned"].startswith("actor raylet actor actor actor; ")
    runs = rows(index, "select added, finished_at is not null from runs order by started_at")
    *killed, (added, whole) = runs  # a driver that was killed before it committed leaves none
    assert whole and killed and all(some > 0 and not finished for some, finished in killed)
    assert sum(some for some, _ in killed) + added == PICTURES
    state, _ = oracle.stored(index)  # each image once, in both stores
    wanted = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "scenes").glob("*.png")}
    assert {one for (one,) in state["images with vectors"]} == wanted
    assert not list(oracle.leftovers(index))
    verified(index)


def test_a_shard_that_nobody_survives_is_named_and_the_rest_is_in(ran: tuple[Path, dict[str, str]]) -> None:
    folder, said = ran
    poisoned = folder / "nobody.poisoned"
    assert f"1 shard left out, over which actors died ({poisoned})" in said["poisoned"]
    failed = rows(folder / "kills.clipdb", "select uri, error from image_failures")
    assert failed == [(str(poisoned), "3 actors died over it, from its image 1 on")]


def test_no_cluster_at_the_address(scenes: Path, tmp_path: Path) -> None:
    index = tmp_path / "x.clipdb"
    line = refused("ingest", "images", scenes, "--model", MODEL, "--ray", "127.0.0.1:1", "-i", index)
    assert line.startswith("no Ray cluster at 127.0.0.1:1 (Connection refused): start one with")
    assert not index.exists()
