"""What killed commands left beside a place goes with the next writer there; what still runs, or is another's, stays."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import clipdb, done

from clipdb.schema import catalog, creation
from clipdb.schema.leftovers import delete_leftovers, locked, make_locked

WRITE = """
import sys, time
from pathlib import Path
from clipdb.schema.leftovers import replacing

with replacing(Path(sys.argv[1])) as building:
    building.write_text("half")
    print("written", flush=True)
    time.sleep(600)
"""
CREATE = """
import os, sys, time
from pathlib import Path
from clipdb.schema import creation, migrations

def wait(*_):
    print("made", flush=True)
    time.sleep(600)

sys.addaudithook(lambda event, arguments: wait() if event == "os.rename" else None)
creation.create(Path(sys.argv[1]))
"""


def started(code: str, place: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().strip() in ("written", "made")
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_file_that_was_half_written_goes_with_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    first = started(WRITE, out)
    [half] = tmp_path.iterdir()
    theirs = [tmp_path / name for name in (".out.csv.json.1", ".out.csv.x", ".out2.csv.1", "out.csv.1")]
    for file in theirs:
        file.write_text("somebody's")
    creation.create(tmp_path / "i.clipdb")
    command = ("query", "select 1 as a", "-o", out, "-i", tmp_path / "i.clipdb")
    done(*command)  # while the first still runs
    assert half.exists() and out.read_text() == "a\n1\n"
    killed(first)
    done(*command)
    assert not half.exists() and all(file.exists() for file in theirs)
    assert sorted(tmp_path.iterdir()) == sorted([out, tmp_path / "i.clipdb", *theirs])


def test_an_index_that_was_half_made_goes_with_the_next(tmp_path: Path) -> None:
    index, texts = tmp_path / "x.clipdb", tmp_path / "texts.txt"
    texts.write_text("a heron\n")
    first = started(CREATE, index)
    [half] = tmp_path.glob(".x.clipdb.*")
    theirs = tmp_path / f".x.clipdb.{'0' * 32}"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("somebody's")
    killed(first)
    done("ingest", "texts", texts, "--pool", "mine", "-i", index)
    assert not half.exists() and (theirs / "notes.txt").exists() and catalog.exists(index)


def test_an_index_that_is_being_made_is_left_to_its_maker(tmp_path: Path) -> None:
    index = tmp_path / "x.clipdb"
    first = started(CREATE, index)
    try:
        [half] = tmp_path.glob(".x.clipdb.*")
        creation.create(index)
        assert half.exists()
    finally:
        killed(first)


@pytest.mark.parametrize("folder", ["data", "_versions", "_transactions"])
def test_files_that_lance_had_no_name_for_yet_go_with_the_next_writer(
    folder: str, own_index: Path, pictures: list[Path], model: tuple[object, ...]
) -> None:
    [table] = own_index.glob("vectors/*.images.lance")
    left = table / folder / ".tmpAb3dE9"
    left.write_bytes(b"half")
    assert clipdb("ingest", "images", pictures[0], *model, "--workers", 0, "-i", own_index).exit_code == 0
    assert not left.exists()


def test_what_was_deleted_and_made_anew_before_it_was_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another process, between opening and locking: then the lock is on what is no longer there."""
    directory = tmp_path / "x"
    directory.mkdir()
    lock = fcntl.flock

    def late(handle: int, how: int) -> None:
        directory.rmdir()
        directory.mkdir()
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert locked(directory) is None


def test_many_at_once_take_nothing_from_each_other(tmp_path: Path) -> None:
    place = tmp_path / "x"

    def make(number: int) -> bool:
        directory = tmp_path / f".x.{number:032x}"
        handle = make_locked(directory)
        assert handle is not None
        delete_leftovers(place, "[0-9a-f]{32}", Path.is_dir)
        (directory / "file").write_text("mine")
        delete_leftovers(place, "[0-9a-f]{32}", Path.is_dir)
        whole = (directory / "file").read_text() == "mine"
        os.close(handle)
        return whole

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(make, range(400)))


def test_a_place_that_may_not_be_listed_is_no_failure(tmp_path: Path) -> None:
    delete_leftovers(tmp_path / "none" / "x", "[0-9]+", Path.is_file)
    assert list(tmp_path.iterdir()) == []
