"""The training tool: its fast forward passes are open_clip's, its losses are right, and a seed decides the weights."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from clipdb.demo import MODEL_CONFIG, WEIGHTS
from clipdb.demo.scenes import VALUES, draw, generator, sample

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def tools() -> SimpleNamespace:
    sys.path.insert(0, str(TOOLS))
    try:
        parts = {name: importlib.import_module(f"demo_training.{name}") for name in ("data", "losses", "towers")}
        return SimpleNamespace(train=importlib.import_module("train_demo_model"), **parts)
    finally:
        sys.path.remove(str(TOOLS))


@pytest.fixture(scope="module")
def network() -> Any:
    open_clip.add_model_config(MODEL_CONFIG.parent)
    return open_clip.create_model("clipdb-tiny", pretrained=str(WEIGHTS)).eval()


@torch.inference_mode()
def test_the_image_tower_is_open_clips(tools: SimpleNamespace, network: Any):
    pixels = np.stack([draw(sample(rng), rng)[0] for rng in (generator(2, index) for index in range(4))])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    embedding, _, heads = tools.towers.image_features(network.visual, torch.from_numpy(tools.data.to_patches(pixels)))

    assert torch.allclose(embedding, network.encode_image((images - mean) / std), rtol=1e-4, atol=1e-5)
    assert heads.shape == (4, 5, 6, 128)


@torch.inference_mode()
def test_the_text_tower_is_open_clips(tools: SimpleNamespace, network: Any):
    vocabulary = tools.data.Vocabulary()
    texts = ["five small hearts on brick", "a grainy picture"]
    tokens = torch.tensor([vocabulary.encode(text, tools.data.CAPTION_TOKENS) for text in texts])
    embedding = network.token_embedding.weight[vocabulary.tokens]
    found = tools.towers.text_features(network, embedding, tokens)

    assert torch.allclose(found, network.encode_text(open_clip.get_tokenizer("clipdb-tiny")(texts)), atol=1e-4)


def test_heads_of_one_property_each_are_clear_and_equal_heads_cover_little(tools: SimpleNamespace):
    rng = np.random.default_rng(0)
    sizes = [len(values) for values in VALUES.values()]
    labels = torch.tensor(np.stack([rng.integers(size, size=512) for size in sizes], axis=1))
    phrases = torch.eye(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    clear = torch.stack([phrases[labels[:, k] + int(starts[k])] for k in range(8)], dim=1)
    cross_entropy, uncovered = tools.losses.head_clarity(clear, phrases, labels)
    _, uncovered_by_one = tools.losses.head_clarity(clear[:, :1].expand(-1, 8, -1), phrases, labels)
    mixed, _ = tools.losses.head_clarity(clear.sum(dim=1, keepdim=True), phrases, labels)

    assert cross_entropy < 0.2
    assert uncovered == pytest.approx(0, abs=0.01)
    assert uncovered_by_one == pytest.approx(np.log(8), abs=0.05)
    assert mixed > 1.5


def test_a_seed_decides_the_weights(tools: SimpleNamespace, tmp_path: Path):
    written = []
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        settings = {"plain": False, "seed": seed, "steps": 3, "batch": 16, "scenes": 64, "lr": 1e-3, "clarity": 0.2}
        path = tools.train.train(argparse.Namespace(out=tmp_path / name, **settings))
        assert path.stat().st_mode & 0o777 == 0o644
        written.append(path.read_bytes())

    assert written[0] == written[1] != written[2]
