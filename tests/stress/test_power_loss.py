"""The power fails after each sync of a command: the index opens, is whole, and the same command finishes it.

The suite looks at some of the states; with CLIPDB_STRESS=1, as in `make stress`, at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from effort import STRESS
from power import Recorder, states
from preloaded import compiled
from support import assert_same, done, verified

import clipdb
from clipdb.schema import catalog

Model = tuple[object, ...]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    recorder = Recorder(compiled("recorder", tmp_path_factory.mktemp("recorder")))
    yield recorder
    recorder.close()


@pytest.fixture(scope="module")
def made(pictures: list[Path], model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Indexes to begin with, and an export: of twelve images, of other eight, and described and named."""
    folder = tmp_path_factory.mktemp("made")
    first, other, named = (folder / f"{name}.clipdb" for name in ("first", "other", "named"))
    done("ingest", "images", *pictures[:12], *model, "--workers", 0, "-i", first)
    done("ingest", "images", *pictures[12:20], *model, "--workers", 0, "-i", other)
    shutil.copytree(first, named, symlinks=True)
    for verb in (["span"], ["label", "--labeller", "vote"]):
        done(*verb, "--pool", "scenes", "-i", named)
    done("export", folder / "shared", "-i", other)
    return {"first": first, "other": other, "named": named, "shared": folder / "shared"}


def lost(
    recorded: Recorder, tmp_path: Path, begin: Path | None, command: Callable[[Path], list[object]], resumed: int
) -> int:
    """Run a command, look at what the disk has after each of its syncs, and resume it from some; count the states."""
    root, before, again = tmp_path / "disk", tmp_path / "before", tmp_path / "again"
    index = root / "x.clipdb"
    root.mkdir()
    if begin is not None:
        shutil.copytree(begin, index, symlinks=True)
        shutil.copytree(root, before, symlinks=True)
    recorded(root, tmp_path / "store", [str(one) for one in command(index)])
    count = sum(1 for _ in states(root, tmp_path / "store"))
    step = 1 if STRESS else max(1, count // 3)
    to_resume = {count * part // resumed for part in range(resumed)} if not STRESS else set(range(0, count, 7))
    for number, disk in enumerate(states(root, tmp_path / "store", before if begin is not None else None)):
        for eager in (False, True):
            if number % step and number not in to_resume and number != count - 1:
                continue
            disk.build(again, eager)
            held = again / "x.clipdb"
            if not catalog.exists(held):
                assert begin is None, f"state {number}"
                continue
            assert [one for one in clipdb.verify(held) if one.problem] == [], f"state {number}, eager {eager}"
            if number in to_resume:
                done(*command(held))
                assert_same(held, index)
                verified(held)
    assert_same(again / "x.clipdb", index)  # the last state has all
    return count


def test_ingest_into_a_new_index(recorded: Recorder, model: Model, pictures: list[Path], tmp_path: Path) -> None:
    def command(index: Path) -> list[object]:
        return ["ingest", "images", *pictures[:8], *model, "--workers", 0, "--batch-size", 2, "-i", index]

    assert lost(recorded, tmp_path, None, command, resumed=2) > 10


def test_ingest_of_more(
    recorded: Recorder, made: dict[str, Path], model: Model, pictures: list[Path], tmp_path: Path
) -> None:
    def command(index: Path) -> list[object]:
        return ["ingest", "images", *pictures[8:20], *model, "--workers", 0, "-i", index]

    assert lost(recorded, tmp_path, made["first"], command, resumed=2) > 10


def test_ingest_of_texts(recorded: Recorder, made: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a heron\na boat\n")

    def command(index: Path) -> list[object]:
        return ["ingest", "texts", tmp_path / "mine.txt", "--pool", "mine", "-i", index]

    assert lost(recorded, tmp_path, made["first"], command, resumed=2) > 10


def test_import_into_another(recorded: Recorder, made: dict[str, Path], tmp_path: Path) -> None:
    assert (
        lost(recorded, tmp_path, made["first"], lambda index: ["import", made["shared"], "-i", index], resumed=2) > 10
    )


def test_import_into_a_new_index(recorded: Recorder, made: dict[str, Path], tmp_path: Path) -> None:
    assert lost(recorded, tmp_path, None, lambda index: ["import", made["shared"], "-i", index], resumed=2) > 10


def test_names(recorded: Recorder, made: dict[str, Path], tmp_path: Path) -> None:
    def command(index: Path) -> list[object]:
        return ["label", "--labeller", "zero-shot", "--pool", "scenes", "-i", index]

    assert lost(recorded, tmp_path, made["named"], command, resumed=2) > 5
