"""Shares of patches against the same written out in float64, and against scenes whose objects' places are known."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import MODEL, done
from towers import VARIANTS, cut_architecture, plain_components, small_clip

from clipdb import demo
from clipdb.demo.scenes import Scene, draw, generator, sample
from clipdb.ingest.store.stored_models import StoredModels
from clipdb.ingest.store.writer import Reader
from clipdb.models.decomposition import Decomposer
from clipdb.models.embedder import Embedder
from clipdb.models.preprocess import Box
from clipdb.models.segmentation import Segmentation, segment_image
from clipdb.models.towers import adapt


def images(count: int, side: int) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def unit(size: int, seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=size)
    return vector / np.linalg.norm(vector)


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_tokens_give_equals_attention_written_out(variant: str) -> None:
    model = small_clip(variant)
    pictures = images(3, 32)
    adapter = adapt(model, variant)
    decomposer = Decomposer(adapter, range(adapter.layers))
    embedding, norm, tokens = decomposer.by_token(pictures, range(adapter.layers))
    whole, whole_norm, y = decomposer(pictures)
    text = unit(embedding.shape[1], 0)
    plain = plain_components(model, pictures, by_token=True)["heads"].numpy() @ text / norm.numpy()[:, None, None, None]
    assert tokens[0].shape[2] == 1 + 16
    for (layer, head), basis in decomposer.bases.items():
        sought = basis.T @ text
        shares = tokens[layer][:, head].numpy() @ sought
        assert np.abs(shares - plain[:, layer, head]).max() < 1e-6
        assert np.abs(shares.sum(axis=1) - y[layer][:, head].numpy() @ sought).max() < 1e-5
    assert torch.allclose(embedding, whole, atol=1e-6) and torch.allclose(norm, whole_norm)


@pytest.mark.parametrize("arch", ["ViT-B-32", "ViT-L-14"])
def test_tokens_add_up_at_real_widths(arch: str) -> None:
    adapter = adapt(cut_architecture(arch), arch)
    pictures = images(1, adapter.image_size)
    decomposer = Decomposer(adapter, [0, 1])
    y, tokens = decomposer(pictures)[2], decomposer.by_token(pictures, [0, 1])[2]
    for layer in (0, 1):
        assert (tokens[layer].sum(dim=2) - y[layer]).abs().max() < 1e-5 * y[layer].norm(dim=-1).max()


def test_only_the_layers_asked_for_are_kept_token_by_token() -> None:
    adapter = adapt(small_clip(), "small")
    pictures = images(2, 32)
    everything, some = (adapter.capture_tokens(pictures, layers).tokens for layers in ([0, 1, 2], [2, 0]))
    assert list(some) == [2, 0] and all(torch.equal(given, everything[layer]) for layer, given in some.items())


@pytest.fixture(scope="module")
def random_model(ready_index: Path) -> Embedder:
    return Embedder(StoredModels(Reader(ready_index), "cpu"))


def test_a_contrast_really_sums_all_heads_and_works_both_ways(random_model: Embedder, pictures: list[Path]) -> None:
    data = pictures[3].read_bytes()
    heads = list(random_model.decomposer(MODEL).bases)
    one, other = random_model.texts(MODEL, ["a red ring", "a blue arrow"])

    def found(text: np.ndarray, some: list[tuple[int, int]] = heads) -> Segmentation:
        return segment_image(random_model, MODEL, data, "picture", text, some)

    contrast, reverse = found(one - other), found(other - one)
    a, b = found(one), found(other)
    assert len(heads) == 24 and contrast.shares.shape == (24, 65)
    assert np.allclose(contrast.map, a.map - b.map, atol=1e-6)
    assert np.allclose(contrast.map, -reverse.map, atol=1e-6)
    assert np.allclose(contrast.map, sum(found(one - other, [head]).map for head in heads), atol=1e-6)
    assert contrast.total == pytest.approx(contrast.map.sum() + contrast.others["class token"], abs=1e-6)
    assert contrast.total == pytest.approx(a.total - b.total, abs=1e-6)
    assert a.cosine == pytest.approx(float(random_model.image(MODEL, data, "picture")[0] @ one), abs=1e-6)
    y = random_model.image(MODEL, data, "picture")[2]
    bases = random_model.decomposer(MODEL).bases
    for place, head in enumerate(heads):
        assert a.shares[place].sum() == pytest.approx(y[head] @ (bases[head].T @ one), abs=1e-5)


def test_rows_hold_every_token_once_with_its_box(random_model: Embedder, pictures: list[Path]) -> None:
    picture = Image.open(pictures[0]).resize((64, 128))
    found = segment_image(random_model, MODEL, png(picture), "p", unit(128, 4).astype(np.float32), [(1, 0), (4, 5)])
    rows = found.rows()
    assert [row[3] for row in rows] == sorted((row[3] for row in rows), reverse=True)
    others = [row for row in rows if row[1] is None]
    assert len(rows) == 65 and [row[0] for row in others] == ["class token"] and others[0][4:] == (None,) * 4
    by_place = {(row[1], row[2]): row for row in rows}
    assert by_place[0, 0][4:] == (0, 32, 8, 40) and by_place[7, 2][4:] == (16, 88, 24, 96)
    assert by_place[7, 2][3] == found.map[7, 2]
    assert sum(row[3] for row in rows) == pytest.approx(found.total, abs=1e-6)


def test_a_patch_of_padding_alone_has_no_box() -> None:
    found = Segmentation(
        heads=[(0, 0)],
        shares=np.zeros((1, 5), np.float32),
        other_tokens=("class token",),
        cosine=0.0,
        grid=(2, 2),
        covered=Box(-30, 0, 70, 100),
        width=40,
        height=100,
        data=b"",
    )
    assert found.box(0, 0) == Box(0, 0, 20, 50) and found.box(1, 1) == Box(20, 50, 40, 100)
    narrow = Segmentation(**{**vars(found), "covered": Box(-60, 0, 60, 120), "width": 0})
    assert narrow.box(0, 0) is None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """The packaged model, over few images: only its heads matter here."""
    folder = tmp_path_factory.mktemp("trained")
    demo.write_scenes(folder / "scenes", 20, seed=1)
    index = folder / "trained.clipdb"
    done(
        "ingest", "images", folder / "scenes", "--model", demo.MODEL_ID, "--device", "cpu", "--workers", 0, "-i", index
    )
    return Embedder(StoredModels(Reader(index), "cpu"))


def placed(
    scene: Scene, rng: np.random.Generator, size: tuple[int, int], corner: tuple[int, int]
) -> tuple[bytes, np.ndarray]:
    """Paste a scene into a larger plain picture; return the file, and the share of each pixel that is object."""
    pixels, coverage = draw(scene, rng)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    picture = Image.new("RGB", size, tuple(int(level) for level in np.median(edge, axis=0)))
    picture.paste(Image.fromarray(pixels), corner)
    whole = np.zeros(size[::-1])
    whole[corner[1] : corner[1] + 64, corner[0] : corner[0] + 64] = coverage
    return png(picture), whole


def touches(box: Box | None, coverage: np.ndarray) -> bool:
    """Whether a box, and the outline of a pixel around objects, has object in it."""
    assert box is not None
    left, top, right, bottom = (round(edge) for edge in box)
    return bool(coverage[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1].max() > 0.3)


@pytest.mark.parametrize(
    ("size", "corner"), [((160, 80), (42, 12)), ((80, 240), (3, 92)), ((64, 64), (0, 0))], ids=["2:1", "1:3", "1:1"]
)
def test_the_strongest_patch_lies_on_the_object(
    trained: Embedder, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    heads = list(trained.decomposer(demo.MODEL_ID).bases)
    hits, stretched = [], []
    number = 0
    while len(hits) < 20:
        rng = generator(11, number)
        scene = sample(rng)
        number += 1
        if scene.count != "one" or scene.style == "grainy":
            continue
        data, coverage = placed(scene, rng, size, corner)
        text = trained.texts(demo.MODEL_ID, [f"a {scene.colour} {scene.shape}"])[0]
        found = segment_image(trained, demo.MODEL_ID, data, "scene", text, heads)
        row, column = np.unravel_index(found.map.argmax(), found.map.shape)
        hits.append(touches(found.box(int(row), int(column)), coverage))
        across, down = size[0] / found.grid[1], size[1] / found.grid[0]
        wrong = Box(column * across, row * down, (column + 1) * across, (row + 1) * down)
        stretched.append(touches(wrong, coverage))
    assert np.mean(hits) >= 0.8
    if size[0] != size[1]:  # a map stretched over the whole picture would not line up
        assert np.mean(stretched) <= np.mean(hits) - 0.2
