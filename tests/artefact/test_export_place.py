"""Where `clipdb export` writes: whole or not at all, whatever is there and whenever it is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from built_index import Built
from support import Process, clipdb, done, refused, table

from clipdb.artefact.export import Options, export_index
from clipdb.artefact.manifest import read_manifest
from clipdb.errors import ClipdbError


def whole(place: Path) -> bool:
    told = read_manifest((place / "manifest.json").read_text(), str(place))
    return all((place / file.path).stat().st_size == file.bytes for file in told.files)


def beside(place: Path) -> list[Path]:
    """List what exports to a place have left."""
    left = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{32}}")
    return [one for one in place.parent.iterdir() if left.fullmatch(one.name)]


def test_a_new_place_and_an_empty_one(built: Built, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "new" / "below", tmp_path / "empty"):
        assert done("export", place, "-i", built.path).startswith(f"{place}: ")
        assert whole(place) and not beside(place)


def test_a_name_that_hive_would_misread(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "plain", "-i", built.path)
    done("export", tmp_path / "model_id=x" / "a=b", "-i", built.path)
    for file in read_manifest((tmp_path / "plain" / "manifest.json").read_text(), "").files:
        assert (tmp_path / "model_id=x" / "a=b" / file.path).read_bytes() == (
            tmp_path / "plain" / file.path
        ).read_bytes()


def test_a_url_is_no_place_to_write(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "upload" in refused("export", "hf://datasets/owner/name", "-i", built.path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_stays(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for options in ([], ["--replace"]):
        said = refused("export", place, "-i", built.path, *options)
        assert said == f"{place} is there and is no export: choose another name"
        assert "file is there and is no export" in refused("export", tmp_path / "file", "-i", built.path, *options)
        assert "is there and is no export" in refused("export", built.path, "-i", built.path, *options)
        assert refused("export", "/", "-i", built.path, *options).startswith("/ isn't a valid name for an export")
    assert (place / "mine.txt").read_text() == (tmp_path / "file").read_text() == "mine"


def test_an_export_is_replaced_when_asked(built: Built, two: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    done("export", place, "-i", built.path)
    before = (place / "manifest.json").read_bytes()
    assert refused("export", place, "-i", two.path) == (
        f"{place} is an export already: add --replace, or choose another name"
    )
    assert (place / "manifest.json").read_bytes() == before and whole(place)
    done("export", place, "-i", two.path, "--replace", "--what", "relations")
    assert whole(place) and not (place / "vectors").exists() and not beside(place)
    assert pq.read_table(place / "relations" / "models.parquet").num_rows == 2


def test_replacing_loses_nothing_that_a_person_put_there(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    done("export", place, "-i", built.path)
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("mine")
    assert refused("export", place, "-i", built.path, "--replace") == (
        f"{place} holds .git/config, which is no part of the export there: move it away first"
    )
    assert (place / ".git" / "config").read_text() == "mine"
    shutil.rmtree(place / ".git")
    (place / "relations" / "link").symlink_to(tmp_path)
    assert "holds relations/link" in refused("export", place, "-i", built.path, "--replace")


def test_a_failed_replacement_keeps_the_old_one(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    done("export", place, "-i", built.path)
    damaged = Path(shutil.copytree(built.path, tmp_path / "damaged.clipdb"))
    shutil.rmtree(damaged / "vectors")
    assert "are not at version" in refused("export", place, "-i", damaged, "--replace")
    assert whole(place) and not beside(place)


def test_a_link_to_a_directory_is_followed(built: Built, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    done("export", tmp_path / "link", "-i", built.path)
    assert (tmp_path / "link").is_symlink() and whole(tmp_path / "real")


def test_a_place_that_can_not_be_written(built: Built, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = refused("export", tmp_path / "file" / "out", "-i", built.path)
    assert said == f"can't export to {tmp_path / 'file' / 'out'}: {os.strerror(errno.ENOTDIR)}"
    long = tmp_path / ("x" * 250)
    assert refused("export", long, "-i", built.path).endswith(os.strerror(errno.ENAMETOOLONG))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_export_left_is_cleaned_and_what_one_holds_is_not(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    dead, alive = (tmp_path / f".out.{letter * 32}" for letter in "ab")
    other = tmp_path / f".other.{'a' * 32}"
    for folder in (dead, alive, other):
        (folder / "relations").mkdir(parents=True)
        (folder / "relations" / "models.parquet").write_bytes(b"PAR1")
    handle = os.open(alive, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    done("export", place, "-i", built.path)
    os.close(handle)
    assert whole(place) and beside(place) == [alive] and other.exists()


def test_two_exports_to_one_place(built: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"

    def run(_: int) -> str:
        try:
            export_index(built.path, place, Options())
        except ClipdbError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(3) as pool:
        outcomes = sorted(pool.map(run, range(3)))
    assert outcomes.count("done") == 1 and whole(place) and not beside(place)
    assert set(outcomes) - {"done"} == {f"{place} is an export already: add --replace, or choose another name"}


def test_a_kill_leaves_nothing_that_looks_whole(ready_index: Path, tmp_path: Path) -> None:
    place, kills = tmp_path / "out", 0
    command = ("export", place, "-i", ready_index, "--thumbnails")
    for parts in (1, 5, 11, 13):  # files that are there when it is killed
        process = Process(tmp_path / "log", *command)
        while process.runs and not (beside(place) and _files(place) >= parts):
            time.sleep(0.0005)
        process.signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert not place.exists() or whole(place)
        assert all(whole(left) for left in beside(place) if (left / "manifest.json").exists())
        shutil.rmtree(place, ignore_errors=True)
    assert kills >= 2
    done(*command)
    assert whole(place) and not beside(place)


def _files(place: Path) -> int:
    return max((sum(len(files) for _, _, files in os.walk(left)) for left in beside(place)), default=0)


def test_an_export_during_an_ingest_is_of_one_state(some: Callable, model: tuple, tmp_path: Path) -> None:
    index, sizes = tmp_path / "growing.clipdb", []
    small = ("--batch-size", 1, "--workers", 1)
    process = Process(tmp_path / "log", "ingest", "images", some(slice(0, 80)), *model, *small, "-i", index)
    while process.runs:
        place = tmp_path / f"out{len(sizes)}"
        if clipdb("export", place, "-i", index).exit_code == 0:  # before the first commit there is no model
            sizes.append(consistent(place))
        time.sleep(0.2)
    assert process.wait() == 0, (tmp_path / "log").read_text()
    done("export", tmp_path / "last", "-i", index)
    assert consistent(tmp_path / "last") == 80 == len(table(index).ids)
    assert sizes == sorted(sizes) and any(0 < size < 80 for size in sizes)


def consistent(place: Path) -> int:
    assert whole(place)
    ids = pq.read_table(place / "relations" / "images.parquet", columns=["image_id"])["image_id"].to_pylist()
    files = sorted(place.glob("vectors/*.images/*.parquet"))
    held = [one for file in files for one in pq.read_table(file, columns=["image_id"])["image_id"].to_pylist()]
    assert sorted(held) == ids
    return len(ids)


def test_a_full_disk_is_said_in_a_line(built: Built, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be made here")
    try:
        said = refused("export", disk / "out", "-i", built.path)
        assert said == f"can't export to {disk / 'out'}: {os.strerror(errno.ENOSPC)}"
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
