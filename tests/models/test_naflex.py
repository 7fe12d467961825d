"""SigLIP 2 NaFlex: pictures keep their shape, padding has no say, and parts add up in a batch of different grids."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from frozen import FrozenTower, compared
from PIL import Image
from support import done, refused, rows
from transformers_models import MOST_PATCHES, save

from clipdb.models.decomposition import Decomposer
from clipdb.models.loading import load
from clipdb.models.model import Model
from clipdb.models.model_config import named
from clipdb.models.patches import patch_grid
from clipdb.models.preprocess import decode
from clipdb.models.proof import reconstruction_errors
from clipdb.models.tower import POOL

SHAPES = ((40, 40), (64, 17), (9, 90), (300, 200), (1, 1), (500, 2))
LAYERS = [POOL, 0, 1]


def pictures_of(shapes: tuple[tuple[int, int], ...], mode: str = "RGB") -> list[Image.Image]:
    random = np.random.default_rng(3)
    channels = {"RGB": (3,), "RGBA": (4,), "L": ()}[mode]
    return [Image.fromarray(random.integers(0, 256, (h, w, *channels), dtype=np.uint8), mode) for w, h in shapes]


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def read(model: Model, pictures: list[Image.Image]) -> torch.Tensor:
    return model.pixels_to_input(
        torch.from_numpy(np.stack([decode(png(one), model.preprocess).pixels for one in pictures]))
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved") / "naflex"
    save("siglip2", place)
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    found = named(f"local-dir:{folder}", None, None)
    return load(found.model_id, found.checkpoint, "cpu", "fp32", found.config)


@pytest.fixture(scope="module")
def images(model: Model) -> torch.Tensor:
    return read(model, pictures_of(SHAPES))


@pytest.fixture(scope="module")
def decomposer(model: Model) -> Decomposer:
    return Decomposer(model.adapter, LAYERS)


@pytest.fixture(scope="module")
def own(folder: Path) -> tuple[Any, Any]:
    """The model and the processor on Pillow, as transformers itself reads them."""
    made = transformers.Siglip2Model.from_pretrained(folder).eval()
    return made, transformers.Siglip2ImageProcessorPil.from_pretrained(folder)


def test_embeddings_are_the_models_own_on_its_processors_own_output(
    model: Model, images: torch.Tensor, own: tuple[Any, Any]
) -> None:
    made, processor = own
    given = processor(pictures_of(SHAPES), return_tensors="pt")
    assert len({tuple(one.tolist()) for one in given["spatial_shapes"]}) >= 5
    assert 0 < given["pixel_attention_mask"].sum() < given["pixel_attention_mask"].numel()
    with torch.inference_mode():
        expected = made.get_image_features(**given).pooler_output
        found = model.network.encode_image(images)
    assert ((found - expected).norm(dim=1) <= 1e-6 * expected.norm(dim=1)).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_patches_are_those_of_its_own_processor(mode: str, model: Model, own: tuple[Any, Any]) -> None:
    from clipdb.models.hugging_face.flexible import arguments

    pictures = pictures_of(SHAPES, mode)
    found = arguments(read(model, pictures))
    given = own[1](pictures, do_convert_rgb=True, return_tensors="pt")
    assert torch.allclose(found["pixel_values"], given["pixel_values"].float(), atol=1e-5)
    for name in ("pixel_attention_mask", "spatial_shapes"):
        assert torch.equal(found[name], given[name].to(found[name].dtype)), name


def test_grids_are_those_of_its_own_processor() -> None:
    from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

    random = np.random.default_rng(0)
    sizes = [*(random.integers(1, 4000, (200, 2))), (1, 100_000), (100_000, 1), (4096, 4096)]
    for width, height in sizes:
        for most in (12, 256, 1024):
            rows, columns = get_image_size_for_max_num_patches(int(height), int(width), 16, most)
            assert patch_grid(int(width), int(height), 16, most) == (rows // 16, columns // 16)


def test_parts_add_up_and_every_head_is_what_the_embedding_loses_without_it(
    model: Model, images: torch.Tensor, decomposer: Decomposer
) -> None:
    with torch.inference_mode():
        reference = model.network.encode_image(images)
    errors = reconstruction_errors(decomposer, images, reference)
    assert errors.keys() == {"trunk", "pool"} and max(errors.values()) < 5e-6, errors
    plain = FrozenTower(model.network.visual, images, model.adapter.layers)
    for head, apart, least in compared(plain, decomposer, images):
        assert apart < 5e-6 < 1e-2 * least, head


def test_pooling_heads_are_a_softmax_over_the_patches_that_are_there(
    model: Model, images: torch.Tensor, own: tuple[Any, Any]
) -> None:
    made, processor = own
    tower = made.vision_model.double()
    try:
        captured = model.adapter.capture(images, [POOL]).heads[POOL].double()
        for number, picture in enumerate(pictures_of(SHAPES)):
            given = processor([picture], return_tensors="pt")
            count = int(given["pixel_attention_mask"].sum())
            given["pixel_values"] = given["pixel_values"].double()
            with torch.inference_mode():
                tokens = tower(**given).last_hidden_state[0, :count].numpy()
            attention, probe = tower.head.attention, tower.head.probe[0, 0].detach().numpy()
            weights, biases = attention.in_proj_weight.detach().numpy(), attention.in_proj_bias.detach().numpy()
            size = probe.shape[0] // attention.num_heads
            q, k, v = (
                x @ weights[at * 48 : (at + 1) * 48].T + biases[at * 48 : (at + 1) * 48]
                for at, x in enumerate((probe[None], tokens, tokens))
            )
            for head in range(attention.num_heads):
                part = slice(head * size, (head + 1) * size)
                scores = (q[:, part] @ k[:, part].T)[0] / size**0.5
                softmax = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
                expected = softmax @ v[:, part]
                assert np.abs(captured[number, head].numpy() - expected).max() < 1e-5 * np.abs(expected).max()
    finally:
        made.float()


def test_tokens_add_up_and_padding_has_nothing(images: torch.Tensor, decomposer: Decomposer) -> None:
    tower = decomposer.adapter
    whole, split = tower.capture(images, LAYERS), tower.capture_tokens(images, LAYERS)
    there = (images[..., -1] > 0)[:, None, :, None]
    for layer, heads in whole.heads.items():
        tokens = split.tokens[layer]
        assert (tokens.sum(dim=2) - heads).abs().max() < 1e-5 * heads.abs().max()
        assert not tokens.masked_fill(there, 0).any() and tokens.masked_fill(~there, 0).any()


@pytest.fixture(scope="module")
def shaped(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = tmp_path_factory.mktemp("shaped")
    paths = [place / f"{number}.png" for number in range(len(SHAPES))]
    for path, picture in zip(paths, pictures_of(SHAPES), strict=True):
        path.write_bytes(png(picture))
    return paths


def test_from_a_folder_to_answers(folder: Path, shaped: list[Path], tmp_path: Path) -> None:
    index = tmp_path / "a.clipdb"
    ingest = ("ingest", "images", *shaped, "--model", f"local-dir:{folder}", "--layers", "all", "--constants", "--mlps")
    assert "added 6, skipped 0, failed 0" in done(*ingest, "--workers", 1, "--device", "cpu", "-i", index)
    ((error, side, patch, preprocess),) = rows(
        index, "select reconstruction_error, image_size, patch_size, preprocess from models"
    )
    assert error < 5e-6 and (side, patch) == (24, 8)
    assert json.loads(preprocess)["max_patches"] == MOST_PATCHES
    for partition in ("pool", "trunk"):
        shown = done("explain", shaped[1], "a red ring", "--partition", partition, "-i", index, "-f", "json")
        shares = {row["part"]: row["share"] for row in json.loads(shown)}
        assert len(shares) >= 6 and abs(shares["not stored"]) < 2e-4  # the rounding of float16
    placed = json.loads(
        done("segment", shaped[1], "--text", "a red ring", "--head", "L1.H0", "-i", index, "-f", "json")
    )
    patches = [row for row in placed if row["token"] == "patch"]
    grid = patch_grid(64, 17, 8, MOST_PATCHES)
    assert len(patches) == grid[0] * grid[1] and grid[1] > grid[0]
    assert {(row["patch_row"], row["patch_col"]) for row in patches} == set(np.ndindex(*grid))
    assert max(row["x1"] for row in patches) == 64 and max(row["y1"] for row in patches) == 17


REFUSALS = {
    "no processor": (lambda place: (place / "preprocessor_config.json").unlink(), "has to have a preprocessor_config"),
    "patches of another size": (
        lambda place: _processor(place, patch_size=16),
        "cuts images into patches of 16 pixels (preprocessor_config.json) and its model takes those of 8",
    ),
    "too many patches": (lambda place: _processor(place, max_num_patches=10**6), "in a way that clipdb doesn't know"),
    "not resized": (lambda place: _processor(place, do_resize=False), "in a way that clipdb doesn't know"),
}


def _processor(place: Path, **values: object) -> None:
    file = place / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("what", REFUSALS)
def test_what_is_no_whole_model_is_refused(what: str, folder: Path, shaped: list[Path], tmp_path: Path) -> None:
    change, said = REFUSALS[what]
    place = shutil.copytree(folder, tmp_path / "changed")
    change(place)
    index = tmp_path / "index.clipdb"
    assert said in refused("ingest", "images", shaped[0], "--model", f"local-dir:{place}", "-i", index)
    assert not index.exists()
