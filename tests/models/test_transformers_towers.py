"""Models of transformers: their parts add up, each head is what a plain run says, and both libraries agree."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from frozen import FrozenTower, compared
from open_clip.model import CLIP
from PIL import Image
from random_towers import unsettle
from transformers_models import IMAGE_ONLY, KINDS, SIDE, converted, save, small_model

from clipdb.errors import ClipdbError
from clipdb.models.decomposition import Decomposer
from clipdb.models.hugging_face.network import Network
from clipdb.models.loading import load
from clipdb.models.model import Model
from clipdb.models.model_config import named
from clipdb.models.preprocess import decode
from clipdb.models.proof import reconstruction_errors
from clipdb.models.tower import partitions
from clipdb.models.towers import adapt

BOUND = 5e-6
TEXTS = ["a red ring", "a photo of a green square on brick", "blue", " ".join(["a photo of a red ring on brick"] * 4)]


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def loaded(folder: Path) -> Model:
    found = named(f"local-dir:{folder}", None, None)
    return load(found.model_id, found.checkpoint, "cpu", "fp32", found.config)


@pytest.fixture(scope="module", params=[*KINDS, *IMAGE_ONLY])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Model, Path]:
    """A model of each kind, and what clipdb reads from the folder in which it was saved."""
    folder = tmp_path_factory.mktemp("saved") / request.param
    return save(request.param, folder), loaded(folder), folder


def test_parts_add_up_and_every_head_is_what_the_embedding_loses_without_it(saved: tuple[Any, Model, Path]) -> None:
    _, model, _ = saved
    images, tower = noise(2), model.adapter
    layers = sorted(layer for some in partitions(tower).values() for layer in some)
    decomposer = Decomposer(tower, layers)
    with torch.inference_mode():
        reference = model.network.encode_image(images)
    errors = reconstruction_errors(decomposer, images, reference)
    assert errors and max(errors.values()) < BOUND, errors
    plain = FrozenTower(model.network.visual, images, tower.layers)
    for head, apart, least in compared(plain, decomposer, images):
        assert apart < BOUND < 1e-2 * least, head


def test_embeddings_are_the_models_own(saved: tuple[Any, Model, Path]) -> None:
    made, model, folder = saved
    images = noise(2)
    if folder.name in IMAGE_ONLY:
        with torch.inference_mode():
            found = made(pixel_values=images)
            own = found.image_embeds if "clip" in folder.name else found.pooler_output
            assert torch.equal(model.network.encode_image(images), own)
        with pytest.raises(ClipdbError, match="has no text tower: `clipdb align --model"):
            model.embed_texts(TEXTS, 2)
        return
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    room = 15 if made.config.model_type == "altclip" else 16
    padding = "max_length" if made.config.model_type == "siglip" else "longest"
    with torch.inference_mode():
        ours = torch.nn.functional.normalize(model.network.encode_image(images), dim=-1)
        texts = []
        for text in TEXTS:  # alone, so that no padding is needed
            options = {"padding": padding, "truncation": True, "max_length": room, "return_tensors": "pt"}
            tokens = tokenizer(text, **options)["input_ids"]
            if made.config.model_type == "blip":
                whole = made(input_ids=tokens, pixel_values=images, use_itm_head=False)
                cosines = whole.itm_score[:, 0]
                own = torch.from_numpy(model.embed_texts([text], 4)[0])
                assert torch.allclose(ours @ own, cosines, atol=1e-6)
                continue
            texts.append(made.get_text_features(input_ids=tokens).pooler_output[0])
        if texts:
            features = made.get_image_features(pixel_values=images).pooler_output
            assert torch.allclose(ours, torch.nn.functional.normalize(features, dim=-1), atol=1e-6)
            expected = torch.nn.functional.normalize(torch.stack(texts), dim=-1).numpy()
            assert np.abs(model.embed_texts(TEXTS, 2) - expected).max() < 1e-6


def test_pixels_are_those_of_its_own_processor(saved: tuple[Any, Model, Path]) -> None:
    _, model, folder = saved
    kind = type(transformers.AutoImageProcessor.from_pretrained(folder)).__name__
    processor = getattr(transformers, f"{kind}Pil").from_pretrained(folder)
    random = np.random.default_rng(3)
    for width, height, mode in ((32, 32, "RGB"), (47, 35, "RGB"), (35, 48, "RGBA"), (101, 33, "RGB"), (40, 39, "L")):
        channels = {"RGB": (3,), "RGBA": (4,), "L": ()}[mode]
        picture = Image.fromarray(random.integers(0, 256, (height, width, *channels), dtype=np.uint8), mode)
        file = io.BytesIO()
        picture.save(file, "PNG")
        ours = model.pixels_to_input(torch.from_numpy(decode(file.getvalue(), model.preprocess).pixels[None]))
        own = processor(picture, return_tensors="pt")["pixel_values"]
        assert torch.allclose(ours, own.float(), atol=1e-5), (kind, width, height, mode)


def test_tokens_add_up_to_heads_where_attention_is_torchs(saved: tuple[Any, Model, Path]) -> None:
    tower = saved[1].adapter
    layers = sorted(layer for some in partitions(tower).values() for layer in some)
    if saved[2].name == "blip":
        with pytest.raises(ClipdbError, match="attention is not torch's scaled_dot_product_attention"):
            tower.capture_tokens(noise(2), layers)
        return
    whole, split = tower.capture(noise(2), layers), tower.capture_tokens(noise(2), layers)
    for layer, heads in whole.heads.items():
        assert split.tokens[layer].shape[2] == len(tower.other_tokens) + 16
        assert (split.tokens[layer].sum(dim=2) - heads).abs().max() < 1e-5 * heads.abs().max()


@pytest.mark.parametrize("quick", [False, True], ids=["gelu", "quick_gelu"])
def test_open_clip_and_transformers_agree_on_the_same_weights(quick: bool) -> None:
    vision = {"image_size": SIDE, "patch_size": 8, "width": 48, "layers": 2, "head_width": 16, "mlp_ratio": 2.0}
    text = {"context_length": 16, "vocab_size": 60, "width": 32, "heads": 2, "layers": 2, "mlp_ratio": 2.0}
    one = unsettle(CLIP(24, vision_cfg=vision, text_cfg=text, quick_gelu=quick))
    other = small_model("clip")
    for module in other.modules():
        if hasattr(module, "activation_fn"):
            module.activation_fn = transformers.activations.ACT2FN["quick_gelu" if quick else "gelu"]
    other.load_state_dict(converted(one.state_dict()))
    images, tokens = noise(3), torch.randint(4, 50, (3, 16), generator=torch.Generator().manual_seed(2))
    tokens[:, 9] = 59
    with torch.inference_mode():
        pairs = [
            (one.encode_image(images), Network(other).encode_image(images)),
            (one.encode_text(tokens), Network(other).encode_text(tokens, torch.ones_like(tokens))),
        ]
    ours, theirs = (adapt(network, "clip") for network in (one, Network(other)))
    for layer in range(2):
        pairs.append((ours.capture(images, [layer]).heads[layer], theirs.capture(images, [layer]).heads[layer]))
        pairs.append(tuple(torch.from_numpy(tower.output_map(layer)) for tower in (ours, theirs)))
    for a, b in pairs:
        assert (a - b).norm() < 1e-6 * a.norm()
