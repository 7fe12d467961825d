"""Imports that are killed at any point, and finished by the same command."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import lance
import pytest
from artefacts import contents, edit, export, make, with_cell
from effort import STRESS
from support import Process, change, done, refused, rows, until, verified

from clipdb.artefact.merge import Progress, import_artefact
from clipdb.ingest.store.lock import writer_lock


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    export(make(folder / "large.clipdb", range(2000)), folder / "large")
    make(folder / "small.clipdb", range(1990, 2100), spans=False)
    return folder


def commits(index: Path) -> set[tuple[str, int]]:
    """List what Lance has been told, in the index and beside its place."""
    places = [index, *index.parent.glob(f".{index.name}.*")]
    manifests = [one for place in places for one in place.glob("vectors/*/_versions/*.manifest")]
    found = set()
    for one in manifests:
        with suppress(FileNotFoundError):
            found.add((str(one), one.stat().st_mtime_ns))
    return found


def killed(log: Path, index: Path, more: int, delay: float, *command: object) -> bool:
    """Kill an import some time after it has told Lance so much more; say whether it was still at it."""
    before = commits(index)
    process = Process(log, *command)
    until(lambda: len(commits(index) - before) >= more or not process.runs, every=0.001)
    time.sleep(delay)
    if process.runs:
        process.signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


# After so many writes of Lance, of which DuckDB has not heard before the third: images, texts, then ids are indexed.
POINTS = [(0, 0.05), (1, 0.0), (1, 0.03), (2, 0.0), (2, 0.03), (3, 0.0), (4, 0.0), (4, 0.05)]
POINTS = POINTS if STRESS else POINTS[::2]


def test_a_new_index_is_there_whole_or_not_at_all(made: Path, tmp_path: Path) -> None:
    index, log = tmp_path / "place" / "new.clipdb", tmp_path / "log"
    command = ("import", made / "large", "-i", index)
    expected, kills = contents(made / "large.clipdb"), 0
    index.parent.mkdir()
    for more, delay in POINTS:
        kills += killed(log, index, more, delay, *command)
        if index.exists():
            assert contents(index) == expected
            shutil.rmtree(index)
    assert kills > len(POINTS) // 2
    assert Process(log, *command).wait() == 0, log.read_text()
    assert contents(index) == expected
    verified(index)
    assert [one.name for one in index.parent.iterdir()] == ["new.clipdb"]


def test_an_index_that_is_there_has_all_of_it_or_nothing(made: Path, tmp_path: Path) -> None:
    index, log = tmp_path / "own.clipdb", tmp_path / "log"
    command = ("import", made / "large", "-i", index)
    shutil.copytree(made / "small.clipdb", index)
    before = contents(index)
    done(*command)
    expected, kills = contents(index), 0
    for more, delay in POINTS[1:]:
        shutil.rmtree(index)
        shutil.copytree(made / "small.clipdb", index)
        kills += killed(log, index, more, delay, *command)
        assert contents(index) in (before, expected)
        done(*command)
        assert contents(index) == expected
    assert kills >= len(POINTS) // 2
    verified(index)


def test_an_import_that_was_killed_after_its_commit_is_finished_by_the_next(made: Path, tmp_path: Path) -> None:
    """As a kill between two steps of the compaction leaves it: Lance is ahead, and the run has no end."""
    index = Path(shutil.copytree(made / "small.clipdb", tmp_path / "own.clipdb"))
    command = ("import", made / "large", "-i", index)
    done(*command)
    change(index, "update runs set finished_at = null where command = 'import artefact'")
    tables = [str(path) for path in index.glob("vectors/*.lance")]
    for path in tables:
        half = lance.dataset(path)
        half.delete("false")
        half.create_scalar_index("image_id" if "images" in path else "text_id", "BTREE", replace=True)
    newest = "select kind, max(lance_version) from batches group by all order by all"
    before = contents(index)
    for finishes in (True, False):
        held = rows(index, newest)
        assert "rows added 0" in done(*command)
        assert (rows(index, newest) != held) == finishes and contents(index) == before
        for path, (_, version) in zip(sorted(tables), rows(index, newest), strict=True):
            assert [one["version"] for one in lance.dataset(path).versions()] == [version]
    verified(index)


def test_what_a_kill_left_goes_with_the_next_import_of_anything(made: Path, tmp_path: Path) -> None:
    index, log = tmp_path / "new.clipdb", tmp_path / "log"
    assert killed(log, index, 1, 0.0, "import", made / "large", "-i", index)
    (left,) = tmp_path.glob(".new*")
    small = export(made / "small.clipdb", tmp_path / "small")
    with writer_lock(left):  # as by an import that still runs
        done("import", small, "-i", index)
        assert left.exists()
    done("import", small, "-i", index)
    assert not left.exists() and contents(index) == contents(made / "small.clipdb")


def left_by(artefact: Path, made: Path) -> Path:
    """Lay what an import of an artefact to new.clipdb may leave where it was killed."""
    digest = hashlib.sha256((artefact / "manifest.json").read_bytes()).hexdigest()
    return Path(shutil.copytree(made / "small.clipdb", artefact.with_name(f".new.clipdb.{digest[:16]}")))


@pytest.mark.parametrize("lost", ["catalog.duckdb", "vectors", "writer.lock"])
def test_what_a_kill_left_half_deleted_is_in_nobodys_way(lost: str, made: Path, tmp_path: Path) -> None:
    small = export(made / "small.clipdb", tmp_path / "small")
    left = left_by(small, made)
    (shutil.rmtree if lost == "vectors" else Path.unlink)(left / lost)
    own = tmp_path / f".new.clipdb.{'0' * 16}"
    own.mkdir()
    (own / "somebody's").write_text("x")
    done("import", small, "-i", tmp_path / "new.clipdb")
    assert contents(tmp_path / "new.clipdb") == contents(made / "small.clipdb")
    assert not left.exists() and (own / "somebody's").exists()


def test_what_a_kill_left_goes_where_the_artefact_is_refused_after_it(made: Path, tmp_path: Path) -> None:
    small = export(made / "small.clipdb", tmp_path / "small")
    (path,) = small.glob("vectors/*.images/*.parquet")
    edit(small, str(path.relative_to(small)), lambda rows: with_cell(rows, "norm", -1.0))
    left_by(small, made)
    assert "a norm that is not finite and positive" in refused("import", small, "-i", tmp_path / "new.clipdb")
    assert [one.name for one in tmp_path.iterdir()] == ["small"]


@pytest.mark.parametrize("there", [False, True])
def test_ctrl_c_leaves_what_was_there(there: bool, made: Path, tmp_path: Path) -> None:
    index, log = tmp_path / "own.clipdb", tmp_path / "log"
    if there:
        shutil.copytree(made / "small.clipdb", index)
        before = contents(index)
    process = Process(log, "import", made / "large", "-i", index)

    def at_work() -> bool:
        locks = [*tmp_path.glob(".own.clipdb.*/writer.lock"), *tmp_path.glob("own.clipdb/writer.lock")]
        return any(f'"pid": {process.pid}' in one.read_text() for one in locks)

    assert until(at_work, every=0.001)
    process.signal(signal.SIGINT)
    assert process.wait() == 130, log.read_text()
    assert log.read_text().strip() == "Stopped."
    if there:
        assert contents(index) == before
    else:
        assert [one.name for one in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("x"), OSError(5, "x")])
def test_what_comes_up_while_vectors_are_written_comes_out(error: BaseException, made: Path, tmp_path: Path) -> None:
    """From under Lance, which would make another of it."""

    def fail(_: int) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        import_artefact(tmp_path / "new.clipdb", made / "large", progress=Progress(done=fail))
    assert raised.value is error and not list(tmp_path.iterdir())
