"""One writer at a time, readers meanwhile, and the commit protocol of a vector table."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from oracle import leftovers
from support import Process, change, clipdb, done, refused, rows, until

from clipdb.errors import ClipdbError
from clipdb.ingest.store import vector_table, writer
from clipdb.ingest.store.vector_arrays import vector_column
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema import catalog, creation

SMALL = ("--batch-size", 1, "--workers", 1)


def vectors(ids: range, seed: int = 0) -> pa.Table:
    values = np.random.default_rng(seed).normal(size=(len(ids), 4))
    return pa.table({"image_id": [f"{one:064x}" for one in ids], "embedding": vector_column(values)})


def nothing(connection: object) -> None:
    pass


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "own.clipdb"
    creation.create(path)
    return path


def test_a_second_writer_is_told_who_is_at_it(scenes: Path, model: tuple, tmp_path: Path) -> None:
    index = tmp_path / "busy.clipdb"
    first = Process(tmp_path / "log", "ingest", "images", scenes, *model, *SMALL, "-i", index)
    assert until(lambda: (index / "writer.lock").is_file() and (index / "writer.lock").stat().st_size)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        for command in (["ingest", "images", scenes, *model], ["ingest", "texts", "--pool", "scenes"]):
            line = refused(*command, "-i", index)
            assert f"process {first.pid} (clipdb ingest images {scenes}" in line and "wait for it" in line
    finally:
        os.kill(first.pid, signal.SIGKILL)
    first.wait()
    done("ingest", "texts", "--pool", "scenes", "-i", index)  # a lock dies with its holder


def test_readers_see_whole_batches_while_an_ingest_runs(scenes: Path, model: tuple, tmp_path: Path) -> None:
    from clipdb.queries.index import Index
    from clipdb.queries.vectors.lance_tables import open_vectors
    from clipdb.schema.vectors_place import table_in

    index = tmp_path / "busy.clipdb"
    process = Process(tmp_path / "log", "ingest", "images", scenes, *model, *SMALL, "-i", index, first=publish_often)
    assert until(lambda: catalog.exists(index) and rows_of(index, "from batches limit 1"))
    seen = []
    while process.runs:
        with Index(index) as opened:
            images, added = opened.connection.execute(
                "select (select count(*) from images), (select sum(added) from batches)"
            ).fetchall()[0]
            (((name, kind), version),) = catalog.committed_versions(opened.connection).items()
            table = open_vectors(index, table_in(index / "vectors", name, kind), version)
            ids = table.to_table(columns=["image_id"]).column(0).to_pylist()
            joined = opened.sql("select count(*) from image_vectors join images using (image_id)").fetchall()[0][0]
        assert images == added == len(set(ids)) == len(ids) == joined
        seen.append(images)
    assert process.wait() == 0, (tmp_path / "log").read_text()
    assert len(set(seen)) > 2 and seen == sorted(seen)


def publish_often() -> None:
    """Publish after each commit, however long that takes on a busy machine."""
    writer.PUBLISH_EVERY = 0.0


def rows_of(index: Path, sql: str) -> list[tuple]:
    with catalog.connect(index) as connection:
        return connection.execute(sql).fetchall()


def test_a_run_that_commits_nothing_leaves_no_trace(index: Path, tmp_path: Path) -> None:
    before = {file.relative_to(index): file.read_bytes() for file in index.rglob("*") if file.is_file()}
    for path, create in ((index, False), (tmp_path / "new.clipdb", True)):
        with pytest.raises(RuntimeError), Writer(path, "test", {}, create=create):
            raise RuntimeError
    after = {file.relative_to(index): file.read_bytes() for file in index.rglob("*") if file.is_file()}
    after.pop(Path("writer.lock"))
    assert after == before
    assert sorted(tmp_path.iterdir()) == [index]


def test_a_run_has_an_end_only_where_it_came_to_it(index: Path) -> None:
    with Writer(index, "good", {"path": Path("x"), "n": 1}) as writer, writer.transaction():
        writer.added = 3
    with pytest.raises(KeyboardInterrupt), Writer(index, "stopped", {}) as writer:
        with writer.transaction():
            writer.added = 2
        raise KeyboardInterrupt
    with pytest.raises(RuntimeError), Writer(index, "half", {}) as writer, writer.transaction() as connection:
        connection.execute("insert into texts values ('a', 'b')")
        raise RuntimeError
    found = rows(index, "select command, arguments, added, finished_at is null from runs order by run")
    assert [(command, json.loads(given), *rest) for command, given, *rest in found] == [
        ("good", {"path": "x", "n": 1}, 3, False),
        ("stopped", {}, 2, True),
    ]
    assert rows(index, "from texts") == []


def test_a_batch_that_the_catalog_lacks_is_rolled_back(index: Path) -> None:
    def interrupted(connection: object) -> None:
        raise KeyboardInterrupt

    with Writer(index, "one", {}) as writer:
        VectorTable(writer, "a/b", "images").commit(vectors(range(5)), nothing)
    with pytest.raises(KeyboardInterrupt), Writer(index, "two", {}) as writer:
        VectorTable(writer, "a/b", "images").commit(vectors(range(5, 9)), interrupted)
    path = str(index / "vectors" / "a__b.images.lance")
    assert lance.dataset(path).count_rows() == 9
    with Writer(index, "three", {}) as writer:
        table = VectorTable(writer, "a/b", "images")
        assert table.known([f"{one:064x}" for one in range(9)]) == {f"{one:064x}" for one in range(5)}
        table.commit(vectors(range(5, 8)), nothing)
    (version,) = rows(index, "select max(lance_version) from batches")[0]
    assert lance.dataset(path, version=version).count_rows() == 8
    assert rows(index, "select sum(added) from batches") == [(8,)]


def test_ids_are_looked_up_while_the_table_is_compacted(index: Path) -> None:
    """As the thread that reads ahead does; deleting old versions must not take the files from under it."""
    wanted = [f"{one:064x}" for one in range(400)]
    wrong: list[object] = []
    with Writer(index, "test", {}) as writer:
        table = VectorTable(writer, "a/b", "images")
        table.commit(vectors(range(2)), nothing)
        stop = threading.Event()

        def look_up() -> None:
            try:
                found = 2
                while not stop.is_set():
                    now = len(table.known(wanted))
                    if now < found:
                        wrong.append((found, now))
                    found = now
                    time.sleep(0.001)
            except BaseException as error:
                wrong.append(error)

        reader = threading.Thread(target=look_up)
        reader.start()
        for batch in range(1, 21):
            table.commit(vectors(range(batch * 2, batch * 2 + 2)), nothing)
            table.compact()
        stop.set()
        reader.join()
        assert not wrong
        assert len(table.known(wanted)) == 42
    path = index / "vectors" / "a__b.images.lance"
    kept = [lance.dataset(path, version=one["version"]) for one in lance.dataset(path).versions()]
    files = {file.path for one in kept for fragment in one.get_fragments() for file in fragment.data_files()}
    assert len(kept) <= 2 and {one.name for one in (path / "data").iterdir()} == files


def test_what_was_compacted_is_left_alone(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long ingest would take the square of the rows if each compaction wrote or indexed all of them again."""
    monkeypatch.setattr(vector_table, "FRAGMENT_ROWS", 8)
    sizes, files = [], set()
    with Writer(index, "test", {}) as writer:
        table = VectorTable(writer, "a/b", "images")
        for batch in range(36):
            for half in (0, 4):
                table.commit(vectors(range(batch * 8 + half, batch * 8 + half + 4)), nothing)
            table.compact()
            assert table.dataset is not None
            fragments = table.dataset.get_fragments()
            assert files <= (files := {file.path for one in fragments for file in one.data_files()})
            assert [one.count_rows() for one in fragments] == [8] * (batch + 1)
            found = table.dataset.stats.index_stats("image_id_idx")
            assert found["num_unindexed_rows"] == 0
            sizes.append(found["num_indices"])
        assert sizes[:18] == [*range(1, 17), 1, 2] and max(sizes) == 16
        assert len(table.known([f"{one:064x}" for one in range(400)])) == 288


@pytest.mark.parametrize("damage", ["gone", "behind", "manifest"])
def test_vectors_that_are_not_as_the_catalog_says(damage: str, own_index: Path, scenes: Path, model: tuple) -> None:
    path = own_index / "vectors" / "clipdb-tiny__random.images.lance"
    if damage == "gone":
        shutil.rmtree(path)
    elif damage == "behind":
        change(own_index, "update batches set lance_version = lance_version + 100 where kind = 'images'")
    else:
        for file in (path / "_versions").iterdir():
            file.write_bytes(b"nonsense")
    before = rows(own_index, "from batches order by all")
    for command in (["ingest", "images", scenes, *model, "--workers", 0], ["span", "--pool", "scenes"]):
        line = refused(*command, "-i", own_index)
        assert str(path) in line and "restore" in line
    assert rows(own_index, "from batches order by all") == before


def test_a_writer_needs_an_index(tmp_path: Path) -> None:
    with pytest.raises(ClipdbError, match="no index at"), Writer(tmp_path / "none.clipdb", "test", {}):
        pass
    assert not list(tmp_path.iterdir())


def test_versions_that_no_snapshot_had_go_with_the_publication(
    pictures: list[Path], model: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipdb.ingest.store.writer.PUBLISH_EVERY", math.inf)  # at the end alone
    index = tmp_path / "x.clipdb"
    done("ingest", "images", *pictures[:4], *model, "--workers", 0, "-i", index)
    done("ingest", "texts", "--pool", "scenes", "-i", index)
    assert not list(leftovers(index))


def test_versions_that_no_snapshot_had_go_after_a_killed_publication(
    pictures: list[Path], model: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "x.clipdb"
    done("ingest", "images", *pictures[:4], *model, "--workers", 0, "-i", index)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr("clipdb.ingest.store.writer.PUBLISH_EVERY", math.inf)
        killed.setattr("clipdb.ingest.store.publishing._collect", stop)
        assert clipdb("ingest", "texts", "--pool", "scenes", "-i", index).exit_code == 130
    assert list(leftovers(index))
    done("ingest", "texts", "--pool", "scenes", "-i", index)
    assert not list(leftovers(index))
