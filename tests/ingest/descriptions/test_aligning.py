"""A model without a text tower, reached by the texts of a CLIP model: the demo's own image tower, and DINOv2."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from artefacts import edit, with_cell
from support import assert_same_vectors, done, refused, rows, table, verified
from transformers_models import save, save_without_texts

from clipdb.models.loading import load

DEMO, BLIND, DINO = "clipdb-tiny/scenes", "blind/local", "dino/local"


@pytest.fixture(scope="module")
def without_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's image tower as transformers has it, into another space: a plain linear image of its own."""
    folder = tmp_path_factory.mktemp("published") / "blind"
    save_without_texts(folder)
    return folder


@pytest.fixture(scope="module")
def unaligned(
    without_texts: Path, some: Callable[[slice], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """An index of the demo model, its tower without texts, and a DINOv2 of random weights; and DINOv2's folder."""
    index, dino = tmp_path_factory.mktemp("two") / "two.clipdb", tmp_path_factory.mktemp("own") / "dino"
    save("dinov2", dino)
    scenes = some(slice(0, 150))
    for model in (DEMO, f"local-dir:{without_texts}", f"local-dir:{dino}"):
        done("ingest", "images", scenes, "--model", model, "--device", "cpu", "--workers", 0, "-i", index)
    return index, dino


@pytest.fixture
def index(unaligned: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(unaligned[0], tmp_path / "own.clipdb", symlinks=True))


def test_texts_reach_a_model_without_a_text_tower_and_say_how_well(index: Path, tmp_path: Path) -> None:
    assert "blind/local has no text tower: `clipdb align" in refused("span", "--model", BLIND, "-i", index)
    said = done("align", "--model", BLIND, "--to", DEMO, "-i", index)
    ((matrix, r2, ridge, images),) = rows(index, "select matrix, r2, ridge, images from aligners")
    assert f"R^2 {r2:.3f}, over 150 shared images" in said and images == 150
    blind, demo = table(index, model=BLIND), table(index, model=DEMO)
    assert blind.ids == demo.ids
    x, y = blind["embedding"], demo["embedding"]
    held_out = np.arange(150) % 5 == 0
    strength = ridge * (x[~held_out] ** 2).sum() / 96
    plain = np.linalg.solve(x[~held_out].T @ x[~held_out] + strength * np.eye(96), x[~held_out].T @ y[~held_out])
    assert np.abs(np.array(matrix).reshape(96, 128) - plain).max() < 1e-4 * np.abs(plain).max()
    lost = ((y[held_out] - x[held_out] @ plain) ** 2).sum() / ((y[held_out] - y[held_out].mean(axis=0)) ** 2).sum()
    assert r2 == pytest.approx(1 - lost, abs=1e-4) and r2 > 0.8

    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    done("label", "--pool", "scenes", "-i", index)
    names = "select model_id, name, property from head_properties where labeller = 'zero-shot'"
    by_model = {DEMO: {}, BLIND: {}}
    for model, head, property in rows(index, names):
        by_model[model][head] = property
    both = by_model[DEMO].keys() & by_model[BLIND].keys()
    assert len(both) >= 12 and sum(by_model[DEMO][head] == by_model[BLIND][head] for head in both) >= 0.9 * len(both)
    verified(index)

    ask = ("explain", blind.ids[0], "a red ring", "--model", BLIND, "-f", "csv", "-i")
    shares = {row["part"]: float(row["share"]) for row in csv.DictReader(io.StringIO(done(*ask, index)))}
    text = load(DEMO, device="cpu").embed_texts(["a red ring"], 1)[0].astype(np.float64)
    direction = np.array(matrix).reshape(96, 128) @ text
    assert sum(shares.values()) == pytest.approx(x[0] @ direction, abs=1e-4)
    ((basis,),) = rows(index, "select basis from heads where model_id = ? and name = 'L3.H1'", BLIND)
    assert shares["L3.H1"] == pytest.approx(np.array(basis).reshape(96, -1) @ blind["l3h1"][0] @ direction, abs=1e-5)

    for ask in (("heads",), ("head", "L3.H1"), ("spans", "a"), ("text-heads", "red")):
        model = ("--model", BLIND, "-f", "csv", "-i", index)
        assert f"{r2:.6f}"[:6] in done("query", *ask, *model).splitlines()[1], ask
    assert f"R^2 {r2:.2f} over images that were held out" in done("info", "-f", "csv", "-i", index)
    done("export", tmp_path / "out", "-i", index)
    assert f"texts of {DEMO}, through an aligner" in (tmp_path / "out" / "README.md").read_text()
    done("import", tmp_path / "out", "-i", tmp_path / "theirs.clipdb")
    verified(tmp_path / "theirs.clipdb")
    for column, value, said in (
        ("matrix", [1.0], "a matrix of another shape"),
        ("matrix", [float("nan")] * 96 * 128, "not of finite numbers"),
        ("target", "no model", "a target that is no model name"),
        ("model_id", "no/ne", "is of a model that doesn't exist"),
        ("r2", 1.5, "numbers that are not finite"),
    ):
        hostile = shutil.copytree(tmp_path / "out", tmp_path / f"{column}{len(said)}")
        edit(hostile, "relations/aligners.parquet", lambda rows, c=column, v=value: with_cell(rows, c, v))
        assert said in refused("import", hostile, "-i", tmp_path / "none.clipdb")
        assert not (tmp_path / "none.clipdb").exists()


def test_a_new_aligner_maps_texts_anew_and_takes_the_spans_of_the_one_before(index: Path) -> None:
    done("align", "--model", BLIND, "--to", DEMO, "-i", index)
    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    before = table(index, "texts", BLIND)
    assert rows(index, f"select count(*) > 0 from spans where model_id = {BLIND!r}") == [(True,)]
    done("align", "--model", BLIND, "--to", DEMO, "-i", index)
    assert_same_vectors(table(index, "texts", BLIND), before)
    assert rows(index, "select distinct model_id from spans") == [(DEMO,)]
    verified(index)


def test_what_cannot_be_aligned_is_refused_and_nothing_is_written(index: Path) -> None:
    def said(model: str, to: str) -> str:
        return refused("align", "--model", model, "--to", to, "-i", index)

    assert "has a text tower of its own" in said(DEMO, BLIND)
    assert f"{DINO} has no text tower whose texts could reach" in said(BLIND, DINO)
    assert "has no images of model a/b: it has" in said("a/b", DEMO)
    assert "R^2 is " in (problem := said(DINO, DEMO)) and "0.3 is the least" in problem
    assert rows(index, "select count(*) from aligners") == [(0,)]
    assert rows(index, "select count(*) from runs where command = 'align'") == [(0,)]
    left_out = done("span", "--pool", "scenes", "--device", "cpu", "--model", DEMO, "-i", index)
    assert DEMO in left_out


def test_few_images_are_no_ground_for_an_aligner(
    unaligned: tuple[Path, Path], some: Callable[[slice], Path], tmp_path: Path
) -> None:
    few = some(slice(0, 4))
    for model in (DEMO, f"local-dir:{unaligned[1]}"):
        done("ingest", "images", few, "--model", model, "--device", "cpu", "--workers", 0, "-i", tmp_path / "few")
    assert "share 4 images, too few" in refused("align", "--model", DINO, "--to", DEMO, "-i", tmp_path / "few")
