"""docs/test-a-name.md: every command runs, in the order of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_page import ran
from support import rows


def smaller(arguments: list[str]) -> list[str]:
    if arguments[0] == "demo":
        drawn = ["--pairs", "4"] if "--pairs" in arguments else []
        return ["demo", "--scenes", "40", "--no-names", *drawn]
    if arguments[0] == "ablate":
        return [*arguments, "--images", "20"]
    return arguments


@pytest.fixture(scope="module")
def printed(finished_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, over fewer scenes; names were tested over all."""
    folder = tmp_path_factory.mktemp("page")
    names = Path("clipdb-demo", "names.clipdb")
    shutil.copytree(finished_demo / names, folder / names, symlinks=True)
    with ran("test-a-name.md", folder, smaller) as outputs:
        yield outputs


def test_pairs_of_every_property_are_stored_once(printed: dict[str, str]) -> None:
    said = printed["clipdb ingest pairs clipdb-demo/pairs/pairs.csv"]
    assert "added 0, skipped 32; pairs are now 4 background, 4 colour" in said
    counted = "select count(*), count(distinct attribute) from pairs"
    assert rows(Path("clipdb-demo/demo.clipdb"), counted) == [(32, 8)]
    assert rows(Path("clipdb-demo/demo.clipdb"), "select count(*) from images where split = 'pairs'") == [(4 * 9,)]


def test_the_demos_names_hold(printed: dict[str, str]) -> None:
    """The packaged model was trained to have clear heads: what pairs say of them is what it is known for."""
    found = dict(
        rows(Path("clipdb-demo/demo.clipdb"), "select name, property from head_labels where labeller = 'evidence'")
    )
    assert (found["L3.H1"], found["L4.H4"]) == ("background", "background")
    assert "tested" in printed["clipdb query heads"]
    assert "evidence" in printed["clipdb query agreement"]
    assert len(printed["clipdb query specificity L3.H1"].splitlines()) > 8
