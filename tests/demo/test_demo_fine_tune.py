"""The packaged fine-tune: what is in its file, that it lost colour and nothing else, and that clipdb finds that out."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from support import clipdb as run
from support import done

import clipdb
from clipdb.demo import FINE_TUNED_ID, MODEL_CONFIG, MODEL_ID, PACKAGED, WEIGHTS, write_scenes

ROOT = Path(__file__).resolve().parents[2]
TUNED = PACKAGED[FINE_TUNED_ID]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models over the same 250 scenes, which training never saw, with spans and names."""
    folder = tmp_path_factory.mktemp("fine-tune")
    write_scenes(folder / "scenes", 250, 90003)
    path = folder / "tuned.clipdb"
    here = ("--device", "cpu", "--workers", 0, "-i", path)
    done("ingest", "images", folder / "scenes", "--model", MODEL_ID, *here)
    done("ingest", "images", folder / "scenes", "--model", FINE_TUNED_ID, "--base", MODEL_ID, *here)
    done("span", "--pool", "scenes", "-i", path)
    done("label", "--pool", "scenes", "-i", path)
    return path


def card(name: str) -> dict[str, Any]:
    return json.loads((MODEL_CONFIG.parent / name).read_text())


def test_the_file_is_as_small_as_the_first_and_has_its_text_tower():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(TUNED)
    first, tuned = load_file(WEIGHTS), load_file(TUNED)

    assert len(packed.getvalue()) <= 4_000_000 and TUNED.stat().st_mode & 0o777 == 0o644
    assert set(first) == set(tuned)
    same = {name for name in first if (first[name] == tuned[name]).all()}
    assert {name for name in first if not name.startswith("visual.")} <= same
    assert "visual.proj" not in same and "visual.conv1.weight" not in same


def test_it_lost_colour_and_nothing_else():
    before, after = card("evaluation.json")["zero_shot"], card("colour-blind.json")["zero_shot"]

    assert before["colour"] > 0.99 and after["colour"] < 0.3  # of ten colours
    assert all(after[name] > before[name] - 0.02 for name in before if name != "colour")


def test_drift_puts_the_heads_of_colour_first(index: Path):
    heads = {head["name"] for head in card("evaluation.json")["heads"] if head["scenes_property"] == "colour"}
    with clipdb.open(index) as db:
        ranks = dict(db.query.drift().project("head, rank").fetchall())

    assert len(heads) == 4 and len(ranks) == 24
    assert np.mean([ranks[head] for head in heads]) <= 24 / 4


def test_compare_names_what_was_lost(index: Path):
    result = run("query", "compare", "-i", index)
    with clipdb.open(index) as db:
        rows = db.query.compare().project("property, label, spans_common, overlap").fetchall()

    assert f"note: lost: colour names 4 heads of {MODEL_ID} and none of {FINE_TUNED_ID}" in result.stderr
    assert {label for name, label, *_ in rows if name == "colour"} <= {"lost", "changed"}
    kept = [label for name, label, *_ in rows if name != "colour"]
    assert len(kept) == 20 and kept.count("kept") >= 16
    assert all(common is not None and overlap > 0.9 for *_, common, overlap in rows)


def test_its_card_in_the_docs_is_its_recorded_evaluation():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from demo_training.card import accuracy_table
        from demo_training.evaluate import Evaluation
    finally:
        sys.path.remove(str(ROOT / "tools"))
    evaluation = Evaluation.from_dict(card("colour-blind.json"))

    assert accuracy_table(evaluation) in (ROOT / "docs" / "demo-model.md").read_text(encoding="utf-8")
    assert evaluation.weights_sha256 == hashlib.sha256(TUNED.read_bytes()).hexdigest()
