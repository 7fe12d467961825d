"""What is no head: MLPs, and the stem with all constants, stored so that nothing of the embedding is left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import change, clipdb, done, rows, table, verified

COMPONENTS = [
    ("REST", "trunk", 1),  # LayerNorm's own bias is 0 in random weights
    *[(f"L{layer}.MLP", "trunk", 128) for layer in range(5)],
]
LISTED = "select name, partition, size from components order by layer, head"


@pytest.fixture(scope="module")
def whole(some: Callable[[slice], Path], model: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images: first eight with the heads of the last layers, then all of them with every part."""
    index = tmp_path_factory.mktemp("whole") / "whole.clipdb"
    done("ingest", "images", some(slice(0, 8)), *model, "--workers", 0, "-i", index)
    every = ("--layers", "all", "--mlps", "--constants")
    assert "added 12, skipped 0" in done(
        "ingest", "images", some(slice(0, 12)), *model, *every, "--workers", 0, "-i", index
    )
    return index


def test_nothing_is_left_of_an_embedding(whole: Path, pictures: list[Path]) -> None:
    assert rows(whole, LISTED) == COMPONENTS
    stored = table(whole)
    assert not np.isnan(np.concatenate(list(stored.columns.values()), axis=1)).any()
    bases = rows(whole, "select name, basis from (from heads union all by name from components)")
    total = np.zeros_like(stored["embedding"])
    for name, basis in bases:
        y = stored[name.replace(".", "").lower()]
        total += y if basis is None else y @ np.array(basis).reshape(128, -1).T
    assert np.abs(total - stored["embedding"]).max() < 1e-3  # of float16 vectors
    for asked in ((pictures[3].name, "a red ring"), (pictures[3].name, "--image-b", pictures[4].name)):
        shares = {row["part"]: row for row in json.loads(done("explain", *asked, "-i", whole, "-f", "json"))}
        assert shares.keys() >= {"REST", "L0.MLP", "L4.MLP", "L0.H0"} and list(shares)[-1] == "not stored"
        assert abs(shares["not stored"]["share"]) < 1e-4 < abs(shares["L4.MLP"]["share"])
    new = json.loads(done("explain", pictures[50], "a red ring", "-i", whole, "-f", "json"))
    assert new[-1]["part"] == "not stored" and abs(new[-1]["share"]) < 5e-6  # computed now, in float32
    by_property = json.loads(done("explain", pictures[3].name, "a ring", "--by", "property", "-i", whole, "-f", "json"))
    assert {row["part"] for row in by_property} == {"unlabelled", "MLPs", "REST", "not stored"}


def test_an_index_says_what_it_has_and_is_checked(whole: Path, tmp_path: Path) -> None:
    info = done("info", "-f", "csv", "-i", whole)
    assert "MLPs of layers 0, 1, 2, 3, 4; stem and biases" in info and "layers 0, 1, 2, 3, 4" in info
    verified(whole)
    ((variances,),) = rows(whole, "select list(total_variance order by layer) from components where head = -1")
    assert min(variances) > 0
    assert rows(whole, "select count(*) from heads where head < 0") == [(0,)]


def test_images_that_come_later_get_the_same(whole: Path, some: Callable[[slice], Path], model: tuple) -> None:
    done("ingest", "images", some(slice(0, 14)), *model, "--workers", 0, "-i", whole)
    assert len(table(whole).ids) == 14 and not np.isnan(table(whole)["l2mlp"]).any()
    assert "added 0, skipped 14" in done(
        "ingest", "images", some(slice(0, 14)), *model, "--mlps", "--workers", 0, "-i", whole
    )
    verified(whole)


def test_an_export_comes_back_and_is_read_in_place(whole: Path, pictures: list[Path], tmp_path: Path) -> None:
    artefact, again = tmp_path / "out", tmp_path / "again.clipdb"
    done("export", artefact, "-i", whole)
    done("import", artefact, "-i", again)
    everything = "from components order by all"
    assert rows(again, everything) == rows(whole, everything)
    one, other = table(whole), table(again)
    assert all(np.array_equal(one[name], other[name]) for name in ("rest", "l0mlp", "l4mlp", "l0h0"))
    verified(again)
    asked = ("explain", pictures[3].name, "--image-b", pictures[4].name, "-f", "csv")
    assert "L4.MLP" in (there := done(*asked, "-i", again)) and done(*asked, "-i", artefact) == there
    assert "`l0mlp` to `l4mlp`" in (artefact / "README.md").read_text()


def test_a_part_of_the_layers_is_exported_with_their_mlps(whole: Path, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "--layers", "3-4", "-i", whole)
    done("import", tmp_path / "out", "-i", tmp_path / "again.clipdb")
    assert rows(tmp_path / "again.clipdb", LISTED) == [COMPONENTS[0], *COMPONENTS[4:]]
    verified(tmp_path / "again.clipdb")


def test_images_of_an_index_without_them_are_merged(
    whole: Path, some: Callable[[slice], Path], model: tuple, tmp_path: Path
) -> None:
    index = tmp_path / "others.clipdb"
    done("ingest", "images", some(slice(10, 20)), *model, "--workers", 0, "-i", index)
    done("export", tmp_path / "out", "-i", whole)
    done("import", tmp_path / "out", "-i", index)
    merged = table(index)
    assert np.isnan(merged["l1mlp"]).any(axis=1).sum() == 20 - len(table(whole).ids)
    verified(index)
    assert "added 6" in done("ingest", "images", some(slice(0, 20)), *model, "--workers", 0, "-i", index)
    assert not np.isnan(table(index)["l1mlp"]).any()
    verified(index)


def test_a_sum_that_is_wrong_is_found(whole: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(whole, tmp_path / "own.clipdb", symlinks=True))
    flipped = "update bases set basis = list_transform(basis, lambda x: -x) where (layer, head) = (4, 0)"
    change(index, flipped)
    result = clipdb("verify", "-i", index)
    assert result.exit_code == 1 and "the sum is off: trunk by" in result.output
