"""`clipdb demo` with the packaged weights: what it prints and writes, and whether its heads tell the truth."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import defaultdict
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image
from support import done

import clipdb

PAGE = Path(__file__).resolve().parents[2] / "docs" / "demo.md"
SCENES = 400
K = 8
# Chance is one in ten for colours. Heads that are named for colour have to be far from it, the best of them further.
COLOUR_MARGIN, BEST_COLOUR_MARGIN = 0.10, 0.25
# Another processor rounds otherwise, and a head between two properties may then take the other one.
HEADS_THAT_MAY_DIFFER = 3


@pytest.fixture(scope="module")
def folder(finished_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished demo of these tests' own."""
    return Path(shutil.copytree(finished_demo, tmp_path_factory.mktemp("demo") / "copy", symlinks=True))


@pytest.fixture(scope="module")
def printed(finished_demo: Path) -> str:
    return (finished_demo / "printed.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def index(folder: Path, printed: str) -> Path:
    return folder / "clipdb-demo" / "demo.clipdb"


def commands(text: str) -> list[str]:
    return re.findall(r"^\$ (clipdb (?:query|ablate) .*)$", text, re.MULTILINE)


def columns(text: str, start: str) -> set[str]:
    """Read the columns of tables whose first line starts so; how wide they are depends on where the scenes lie."""
    lines = {" ".join(line.split()) for line in text.splitlines()}
    return {line for line in lines if line.startswith(start)}


def properties(text: str) -> dict[str, str]:
    """Read the property of each head off the printed table."""
    return dict(re.findall(r"^(L\d+\.H\d+) +(\w+)", text, re.MULTILINE))


def test_every_command_that_it_prints_prints_what_stands_below_it(
    printed: str, folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    shown = commands(printed)
    assert len(shown) == 9
    for command in shown:
        assert done(*shlex.split(command)[1:]) in printed


def test_the_page_shows_this_output(printed: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert commands(printed) == commands(page)
    for table in ("head property", "head name", "rank score", "part "):
        headers = columns(printed, table)
        assert headers and headers <= columns(page, table)
    now, then = properties(printed), properties(page)
    assert now.keys() == then.keys()
    assert sum(now[head] != then[head] for head in now) <= HEADS_THAT_MAY_DIFFER


def test_again_it_computes_nothing(folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> list[tuple[object, ...]]:
        with duckdb.connect(str(index / "catalog.duckdb"), read_only=True) as connection:
            return connection.execute("select * from batches order by all").fetchall()

    before = batches()
    monkeypatch.chdir(folder)
    done("demo")
    assert batches() == before


def test_a_smaller_one_later_takes_nothing_away(tmp_path: Path) -> None:
    first = done("demo", tmp_path, "--scenes", 30, "--no-names")
    truth = (tmp_path / "scenes" / "scenes.csv").read_bytes()
    assert truth.count(b"\n") == 31 and "30 scenes indexed" in first
    assert "30 scenes are there" in done("demo", tmp_path, "--scenes", 20, "--no-names")
    assert (tmp_path / "scenes" / "scenes.csv").read_bytes() == truth


def test_the_contact_sheet_shows_ten_scenes(folder: Path, index: Path) -> None:
    with Image.open(folder / "clipdb-demo" / "neighbours.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert pixels.shape[0] > 350 and pixels.shape[1] > 800
    cells = [pixels[48 + row * 204 :, 8 + column * 168 :][:160, :160] for row in range(2) for column in range(5)]
    assert all(len(np.unique(cell.reshape(-1, 3), axis=0)) > 10 for cell in cells)


def test_the_index_is_whole_and_exact(index: Path) -> None:
    assert "FAILED" not in done("verify", "-i", index)
    with clipdb.open(index) as db:
        error, heads = db.sql("select reconstruction_error, layers from models").fetchall()[0]
        assert error < 1e-5 and heads == 5
        assert db.sql("select count(*) from heads").fetchall() == [(24,)]
        assert db.sql("select count(*) from images where metadata->>'colour' is not null").fetchall() == [(SCENES,)]


def test_heads_named_for_colour_find_scenes_of_the_same_colour(index: Path) -> None:
    with clipdb.open(index) as db:
        named = [row[0] for row in db.sql("select name from head_properties where property = 'colour'").fetchall()]
        truth = {i: json.loads(m)["colour"] for i, m in db.sql("select image_id, metadata from images").fetchall()}
        found = db.sql(
            "select h.name, i.image_id, n.image_id from (from head_properties where property = 'colour') h, images i, "
            f"lateral neighbours('clipdb-tiny/scenes', h.name, i.image_id, k := {K}) n"
        ).fetchall()
    chance = np.mean([[a == b for b in truth.values()] for a in truth.values()])
    same = defaultdict(list)
    for head, image, neighbour in found:
        same[head].append(truth[image] == truth[neighbour])
    precision = {head: float(np.mean(hits)) for head, hits in same.items()}
    assert named and precision.keys() == set(named)
    assert all(len(hits) == K * SCENES for hits in same.values())
    assert np.mean(list(precision.values())) > chance + COLOUR_MARGIN, precision
    assert max(precision.values()) > chance + BEST_COLOUR_MARGIN, precision


def test_names_of_the_readable_model_hold_and_not_all_of_the_plain_one_do(folder: Path, printed: str) -> None:
    columns = "head, holds, direct, causal, images, name, follows, labeller"
    with clipdb.open(folder / "clipdb-demo" / "names.clipdb") as db:
        models = ("clipdb-tiny/scenes", "clipdb-tiny/plain")
        tables = [db.query.tested_names(model=model).project(columns).fetchall() for model in models]
        pairs = db.sql("select attribute, count(*) from pairs group by all").fetchall()
    readable, plain = ([row[1] for row in rows] for rows in tables)
    assert len(pairs) == 8 and {number for _, number in pairs} == {10}
    assert len(readable) == len(plain) == 24
    assert readable.count("yes") >= 24 - HEADS_THAT_MAY_DIFFER
    assert plain.count("yes") >= 12 and plain.count("no") >= 1 and plain.count("unclear") >= 1
    for head, holds, direct, causal, images, name, follows, labeller in (row for rows in tables for row in rows):
        assert (name is None) == (holds is None) == (direct is None), head
        if name is not None:
            assert images == SCENES // 4 and -1 <= direct <= 1 and -1 <= causal <= 1
            assert labeller in ("zero-shot", "vote")  # not the labeller that tests names
            assert holds == "unclear" or (name == follows) == (holds == "yes")
