"""`clipdb segment-scores` against scikit-learn, over maps that `clipdb.segment` gives one image at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, average_precision_score, jaccard_score
from support import change, done, refused

import clipdb as package
from clipdb import demo
from clipdb.models.map_scores import MapScores, average_precision

COUNT = 6


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of which the model sees the middle, four with a mask; their class is the scene's background."""
    folder = tmp_path_factory.mktemp("scores")
    rng = np.random.default_rng(0)
    (folder / "wide").mkdir()
    (folder / "masks").mkdir()
    classes = {}
    for path, scene in demo.write_scenes(folder / "scenes", COUNT, 11):
        wide = Image.open(path).resize((100, 64))
        wide.save(folder / "wide" / path.name)
        classes[path.stem] = scene.background
        mask = np.zeros((64, 100), np.uint8)
        top, left = rng.integers(5, 30, size=2)
        mask[top : top + 25, left : left + 40] = 255
        if path.stem[-1] in "0123":
            Image.fromarray(mask).save(folder / "masks" / f"{path.stem}.png")
    (folder / "masks" / "no-such-image.png").write_bytes(b"")
    (folder / "masks" / "notes.txt").write_text("these are masks")
    package.ingest_images(folder / "i.clipdb", folder / "wide", model=demo.MODEL_ID, device="cpu", progress=False)
    for stem, name in classes.items():
        change(folder / "i.clipdb", "update images set label = ? where contains(uri, ?)", name, stem)
    return folder / "i.clipdb"


def enlarged(values: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear, one pixel after the other: the middles of patches have their values, the rim that of the next one."""
    side = len(values)
    out = np.zeros((side * factor, side * factor))
    for row, column in np.ndindex(*out.shape):
        y, x = ((one + 0.5) / factor - 0.5 for one in (row, column))
        y, x = min(max(y, 0), side - 1), min(max(x, 0), side - 1)
        above, left = min(int(y), side - 2), min(int(x), side - 2)
        down, across = y - above, x - left
        corner = values[above : above + 2, left : left + 2]
        out[row, column] = np.array([1 - down, down]) @ corner @ np.array([1 - across, across])
    return out


@pytest.mark.parametrize("against_mean", [False, True])
def test_figures_are_scikit_learns(index: Path, against_mean: bool) -> None:
    masks = index.parent / "masks"
    options = ["--template", "a scene of {}", "--layers", "last1", *(["--against-mean"] if against_mean else [])]
    rows = json.loads(done("segment-scores", masks, *options, "--device", "cpu", "-i", index, "-f", "json"))
    truths, binary, precisions, classes = [], [], [], []
    with package.open(index, device="cpu") as db:
        names = sorted({name for (name,) in db.sql("select label from images").fetchall()})
        for uri, name in db.sql("select uri, label from images order by uri").fetchall():
            mask = masks / f"{Path(uri).stem}.png"
            if not mask.exists():
                continue
            maps = {one: package.segment(db, uri, f"a scene of {one}", layers="last1").map for one in names}
            found = maps[name] - (np.mean(list(maps.values()), axis=0) if against_mean else 0)
            values = enlarged(found.astype(np.float64), 64 // len(found)).ravel()
            truth = np.asarray(Image.open(mask))[:, 18:82].ravel() > 0
            scaled = (values - values.min()) / (values.max() - values.min())
            precisions.append(
                average_precision_score(np.concatenate([~truth, truth]), np.concatenate([1 - scaled, scaled]))
            )
            truths.append(truth)
            binary.append(values > values.mean())
            classes.append(name)
    for row in rows:
        some = [n for n, name in enumerate(classes) if row["part"] == "all" or name == row["name"]]
        truth, guess = (np.concatenate([one[n] for n in some]) for one in (truths, binary))
        assert row["images"] == len(some)
        assert row["pixel_accuracy"] == pytest.approx(accuracy_score(truth, guess), abs=2e-4)
        assert row["mean_iou"] == pytest.approx(jaccard_score(truth, guess, average="macro"), abs=2e-4)
        assert row["average_precision"] == pytest.approx(np.mean([precisions[n] for n in some]), abs=2e-4)
    assert [row["part"] for row in rows] == ["all"] + ["class"] * len(set(classes)) and rows[0]["images"] == 4


def test_average_precision_is_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(1)
    for levels in (2, 5, 1000):
        scores, truth = rng.integers(0, levels, size=300) / levels, rng.random(300) < 0.3
        assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


def test_a_flat_map_and_a_mask_without_the_class_have_figures() -> None:
    scores = MapScores()
    scores.add(np.zeros(4), np.zeros(4, bool))
    assert scores.figures() == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("masks", "problem"),
    [
        (None, "is not a folder: give one with a mask for each image"),
        ({}, "has no masks: they are pictures"),
        ({"other.png": (100, 64)}, "no image with a class has a mask"),
        ({"scene-00000.png": (64, 64)}, "has 64 x 64 pixels and its image 100 x 64"),
        ({"scene-00000.png": None}, "can't be read as a picture"),
        ({"scene-00000.png": (100, 64), "scene-00000.bmp": (100, 64)}, "2 masks are called 'scene-00000'"),
    ],
)
def test_masks_that_are_none_are_refused(index: Path, tmp_path: Path, masks: dict[str, Any], problem: str) -> None:
    folder = tmp_path / "masks"
    if masks is not None:
        folder.mkdir()
        for name, size in masks.items():
            if size is None:
                (folder / name).write_bytes(b"no picture")
            else:
                Image.new("L", size).save(folder / name)
    said = refused("segment-scores", folder, "--device", "cpu", "-i", index)
    assert problem in said
