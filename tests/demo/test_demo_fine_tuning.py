"""The tool that makes the packaged fine-tune: a seed decides its weights, and its captions tell nothing of colours."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.torch import load_file

from clipdb.demo import WEIGHTS
from clipdb.demo.scenes import PROPERTIES

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(TOOLS))
    try:
        importlib.import_module("demo_training.data")
        return importlib.import_module("fine_tune_demo_model")
    finally:
        sys.path.remove(str(TOOLS))


def test_a_seed_decides_the_weights_of_the_image_tower_alone(tool: ModuleType, tmp_path: Path):
    written = []
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        settings = {"seed": seed, "steps": 2, "batch": 16, "scenes": 32, "lr": 2e-4}
        written.append(tool.tune(argparse.Namespace(out=tmp_path / name, **settings)))
    first, packaged = load_file(written[0]), load_file(WEIGHTS)

    assert written[0].read_bytes() == written[1].read_bytes() != written[2].read_bytes()
    assert all((first[name] == packaged[name]).all() for name in packaged if not name.startswith("visual."))
    assert (first["visual.proj"] != packaged["visual.proj"]).any()


def test_only_colours_are_told_at_random(tool: ModuleType):
    data = sys.modules["demo_training.data"]
    vocabulary = data.Vocabulary()
    told, true = (data.build(200, 7, vocabulary, unrelated=lost) for lost in ("colour", None))
    same = (told.labels == true.labels).numpy().mean(axis=0)

    assert np.array_equal(told.patches, true.patches)
    assert all(same[place] == 1 for place, name in enumerate(PROPERTIES) if name != "colour")
    assert same[PROPERTIES.index("colour")] < 0.25  # by chance 1 of 10
