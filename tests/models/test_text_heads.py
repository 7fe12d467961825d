"""Heads of text towers: each is what a plain run says, its tokens add up to it, and all adds up to the embedding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from frozen import FrozenTower
from open_clip.model import CLIP, CustomTextCLIP
from random_towers import unsettle
from transformers_models import KINDS, WORDS, small_model

from clipdb.errors import ClipdbError
from clipdb.models.hugging_face import traced_texts
from clipdb.models.hugging_face.network import Network
from clipdb.models.text_tower import TextTower
from clipdb.models.tracing.traced_text import TracedText, split_text

BOUND = 5e-6
PLACES = 12
VISION = {"image_size": 16, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8}
TEXT = {"context_length": PLACES, "vocab_size": WORDS, "width": 32, "heads": 2, "layers": 2}
OPEN_CLIP: dict[str, Callable[[], Any]] = {
    "CLIP": lambda: CLIP(24, VISION, TEXT, quick_gelu=True),
    "custom, end mark": lambda: CustomTextCLIP(24, VISION, TEXT | {"pool_type": "eos", "eos_id": WORDS - 1}),
    "SigLIP": lambda: CustomTextCLIP(
        24, VISION, TEXT | {"pool_type": "last", "no_causal_mask": True, "proj_bias": True}
    ),
    "LayerScale, no projection": lambda: CustomTextCLIP(
        32, VISION, TEXT | {"proj_type": "none", "ls_init_value": 0.3, "pool_type": "first", "no_causal_mask": True}
    ),
}


def tokens(length: int) -> torch.Tensor:
    found = torch.randint(4, 50, (1, length), generator=torch.Generator().manual_seed(1))
    found[0, 8] = WORDS - 1
    return found


def of_open_clip(name: str) -> tuple[TracedText, torch.Tensor]:
    torch.manual_seed(0)
    network = unsettle(OPEN_CLIP[name]())
    text = tokens(PLACES)
    return TextTower(name, network, torch.device("cpu"), name)._traced(text), text


def of_transformers(kind: str) -> tuple[TracedText, torch.Tensor]:
    network = Network(small_model(kind))
    text = tokens(16 if kind == "siglip" else 9)
    return traced_texts.traced_text(network, text), text


@pytest.mark.parametrize("name", [*OPEN_CLIP, *(kind for kind in KINDS if kind != "blip")])
def test_every_head_is_what_the_embedding_loses_without_it(name: str) -> None:
    tower, text = (of_open_clip if name in OPEN_CLIP else of_transformers)(name)
    along = np.random.default_rng(3).normal(size=tower.embed_dim)
    along /= np.linalg.norm(along)
    with torch.inference_mode():
        found = split_text(tower, text, [""] * text.shape[1], along)
        embedding = tower.visual(text)[0].double().numpy()
    assert found.cosine == pytest.approx(float(embedding @ along) / np.linalg.norm(embedding), abs=1e-7)
    assert found.heads.sum() + found.rest == pytest.approx(found.cosine, abs=BOUND)
    plain = FrozenTower(tower.visual, text, tower.layers)
    norm = np.linalg.norm(embedding)
    for layer, head in np.ndindex(*found.heads.shape[:2]):
        lost = (plain.embedding - plain.without(layer, head))[0].numpy()
        assert abs(found.heads[layer, head].sum() - lost @ along / norm) < BOUND < 1e-2 * np.linalg.norm(lost) / norm
    if name in ("CLIP", "clip"):
        assert np.abs(found.heads[:, :, :9]).max() > 1e-3 and not found.heads[:, :, 9:].any()


def test_text_towers_that_are_not_read_are_refused() -> None:
    torch.manual_seed(0)
    coca = CustomTextCLIP(24, VISION, TEXT | {"embed_cls": True}).eval()
    with pytest.raises(ClipdbError, match=r"^the text tower of a/b is none whose heads clipdb reads"):
        TextTower("a/b", coca, torch.device("cpu"), "a")._traced(tokens(PLACES))
    tower, text = of_transformers("blip")
    with pytest.raises(ClipdbError, match="attention is not torch's"):
        split_text(tower, text, [""] * 9, np.ones(tower.embed_dim))
