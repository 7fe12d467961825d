"""The packaged model that was trained with CLIP's loss alone: its file, its card, and the tool that trains it."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from clipdb.demo import MODEL_CONFIG, PACKAGED, PLAIN_ID, WEIGHTS
from clipdb.demo.scenes import VALUES

ROOT = Path(__file__).resolve().parents[2]
PLAIN = PACKAGED[PLAIN_ID]


@pytest.fixture(scope="module")
def tools() -> SimpleNamespace:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        parts = {name: importlib.import_module(f"demo_training.{name}") for name in ("card", "evaluate")}
        return SimpleNamespace(train=importlib.import_module("train_demo_model"), **parts)
    finally:
        sys.path.remove(str(ROOT / "tools"))


def test_the_file_is_as_small_as_the_first() -> None:
    first, plain = load_file(WEIGHTS), load_file(PLAIN)
    assert {name: value.shape for name, value in first.items()} == {name: value.shape for name, value in plain.items()}
    assert all(value.dtype == torch.float16 for value in plain.values())
    assert PLAIN.stat().st_size <= 17_000_000 and PLAIN.stat().st_mode & 0o777 == 0o644


def test_its_card_in_the_docs_is_its_recorded_evaluation(tools: SimpleNamespace) -> None:
    recorded = json.loads((MODEL_CONFIG.parent / "plain.json").read_text())
    evaluation = tools.evaluate.Evaluation.from_dict(recorded)
    assert tools.card.accuracy_table(evaluation) in (ROOT / "docs" / "demo-model.md").read_text(encoding="utf-8")
    assert evaluation.weights_sha256 == hashlib.sha256(PLAIN.read_bytes()).hexdigest()
    learnt = {name for name, share in evaluation.zero_shot.items() if share > 2 / len(VALUES[name])}
    assert learnt == {"colour", "background", "style", "texture", "count"}  # as the card says


def test_contrast_alone_trains_it_from_a_seed(tools: SimpleNamespace, tmp_path: Path) -> None:
    settings = {"seed": 5, "steps": 2, "batch": 16, "scenes": 64, "lr": 1e-3, "clarity": 0.2}
    written = [
        tools.train.train(argparse.Namespace(out=tmp_path / name, plain=plain, **settings))
        for name, plain in (("first", True), ("again", True), ("readable", False))
    ]
    assert [path.name for path in written] == ["plain.safetensors", "plain.safetensors", "scenes.safetensors"]
    assert written[0].read_bytes() == written[1].read_bytes() != written[2].read_bytes()
