"""The scripts of examples/reproduce on scenes in the formats of the published data."""

from __future__ import annotations

import csv
import importlib
import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import clipdb
from clipdb import demo
from clipdb.ingest.store.rows import put
from clipdb.schema import catalog

SCRIPTS = Path(__file__).parents[1] / "examples" / "reproduce"
COUNT = 24


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes as Waterbirds, as a folder of classes and as images with masks; templates, and an index of the last."""
    folder = tmp_path_factory.mktemp("reproduce")
    (folder / "masks").mkdir()
    (folder / "templates.txt").write_text("a photo of a {}\n{c}\n")
    drawn = demo.write_scenes(folder / "birds", COUNT, 11)
    grounds = sorted({scene.background for _, scene in drawn})
    with (folder / "birds" / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["img_id", "img_filename", "y", "split", "place", "place_filename"])
        for number, (path, scene) in enumerate(drawn):
            table.writerow([number, path.name, number % 2, 2 * (number >= 4), number // 2 % 2, "/forest/0.jpg"])
            place = folder / "images" / scene.background
            place.mkdir(parents=True, exist_ok=True)
            (place / path.name).write_bytes(path.read_bytes())
            mask = np.zeros(Image.open(path).size[::-1], np.uint8)
            mask[10:40, 20:50] = 255
            Image.fromarray(mask).save(folder / "masks" / path.name)
    assert len(grounds) > 1
    return folder


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module(name)


def options(scenes: Path, data: Path, index: str) -> list[str]:
    more = ["--templates", str(scenes / "templates.txt"), "--device", "cpu", "--model", demo.MODEL_ID]
    return ["--data", str(data), "--index", str(scenes / index), "--layers", "last2", *more]


def figures(output: str) -> dict[str, float]:
    return {name: float(figure) for name, figure in re.findall(r"^(\S[^\n]*?) {2,}(\d+\.\d)", output, re.MULTILINE)}


def test_waterbirds(scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    waterbirds = script("waterbirds", monkeypatch)
    waterbirds.main([*options(scenes, scenes / "birds", "birds.clipdb"), "--heads", "L4.H0", "--printed", *"5678"])
    printed = capsys.readouterr().out
    found = figures(printed)
    with clipdb.open(scenes / "birds.clipdb") as db:
        count = db.sql("select count(*) from images where label in ('landbird', 'waterbird')").fetchall()[0][0]
        rows = db.query.ablate(
            heads="L4.H0", mode="mean", remainder="mean", groups="place", template="a photo of a {}\n{}", control=0
        ).fetchall()
    assert count == COUNT - 4 and {row[1] for row in rows if row[0] == "group"} == {
        f"{bird}, {place}" for bird in ("landbird", "waterbird") for place in ("land", "water")
    }
    wanted = [100 * one for row in (rows[0], rows[-1]) for one in row[3:5]]
    assert list(found.values()) == pytest.approx(wanted, abs=0.051)
    assert f"printed   5.0  {wanted[0] - 5:+5.1f}" in printed


def test_imagenet_segmentation(
    scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script("imagenet_seg", monkeypatch).main(options(scenes, scenes, "seg.clipdb"))
    found = figures(capsys.readouterr().out)
    assert list(found) == ["pixel accuracy", "mIoU", "mAP"] and all(0 < one < 100 for one in found.values())


def judged(index: Path, fitting: dict[int, int]) -> None:
    """Name heads of layer 4, and give each five spans of which so many fit."""
    about = {"model_id": demo.MODEL_ID, "layer": 4, "run": "20260101T000000000000-0000"}
    with catalog.changing(index) as connection:
        for head, fits in fitting.items():
            named = about | {"head": head, "property": "colour", "status": "ok"}
            label = named | {"pool": "general", "labeller": "human:me", "created_at": datetime.now(UTC)}
            put(connection, "labels", [label], new=True)
            for rank in range(1, 6):
                text = {"text_id": f"{rank:064d}"}
                span = about | text | {"head": head, "pool": "general", "rank": rank, "text": f"text {rank}"}
                span |= {"variance_explained": 0.1, "cumulative_variance": 0.1 * rank}
                put(connection, "spans", [span], new=True)
                put(
                    connection, "judgements", [named | text | {"judge": "human:you", "verdict": rank <= fits}], new=True
                )


def test_pruning_by_ccs(scenes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    index = scenes / "ccs.clipdb"
    clipdb.ingest_images(
        index, scenes / "images", model=demo.MODEL_ID, layers="last2", device="cpu", label_from="parent", progress=False
    )
    judged(index, {0: 5, 1: 0, 2: 5})
    given = options(scenes, scenes / "images", "ccs.clipdb")
    script("ccs_pruning", monkeypatch).main(["cifar10", *given, "--control", "1"])
    found = figures(capsys.readouterr().out)
    with clipdb.open(index, device="cpu") as db:
        sets = [row[0] for row in db.sql("select distinct ablated from effects order by 1").fetchall()]
        high = clipdb.ablate(db, heads=["L4.H0", "L4.H2"], template="a photo of a {}\n{}", control=1).rows[0]
    assert sets == ["L4.H0,L4.H2", "L4.H1"]
    assert list(found) == [
        "all heads", "without high CCS", "as many random as high", "without low CCS", "as many random as low",
    ]  # fmt: skip
    assert found["without high CCS"] == pytest.approx(100 * high[6], abs=0.051)
