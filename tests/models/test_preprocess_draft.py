"""JPEGs that are decoded at a part of their size: how far pixels are from exact ones, and what stays as it is."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import done, rows

from clipdb.ingest.images.decoding.workers import DecodePool
from clipdb.models.preprocess import Preprocess, decode

EXACT = Preprocess(96, (0.5,) * 3, (0.5,) * 3)
DRAFT = replace(EXACT, draft=True)


def picture(width: int, height: int, form: str = "JPEG", orientation: int | None = None) -> bytes:
    """A picture with detail of many sizes, fine detail weaker than coarse, as in photographs."""
    random = np.random.default_rng(3)
    whole = np.zeros((height, width, 3))
    for step, weight in ((8, 0.1), (32, 0.3), (128, 0.6)):
        small = random.uniform(0, 255, (height // step + 1, width // step + 1, 3)).astype(np.uint8)
        whole += np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), float) * weight
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(whole.astype(np.uint8)).save(file, form, exif=exif, **({"quality": 90} if form == "JPEG" else {}))
    return file.getvalue()


@pytest.mark.parametrize("orientation", [None, 1, 3, 6, 8])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_pixels_are_near_exact_ones(mode: str, orientation: int | None) -> None:
    data = picture(1201, 800, orientation=orientation)
    exact, draft = (decode(data, replace(one, resize_mode=mode)) for one in (EXACT, DRAFT))
    assert (draft.width, draft.height) == (exact.width, exact.height)
    assert {exact.width, exact.height} == {1201, 800} and (exact.width == 800) == (orientation in (6, 8))
    error = np.abs(exact.pixels.astype(int) - draft.pixels)
    assert 0 < error.mean() < 1 and error.max() < 16


@pytest.mark.parametrize(
    "data",
    [picture(380, 400), picture(1201, 800, "PNG"), picture(4000, 100), picture(96, 96)],
    ids=["small", "PNG", "long", "its own size"],
)
def test_whatever_is_no_large_jpeg_is_exact(data: bytes) -> None:
    np.testing.assert_array_equal(decode(data, EXACT).pixels, decode(data, DRAFT).pixels)


def test_it_is_no_part_of_what_the_model_wants() -> None:
    assert DRAFT.to_json() == EXACT.to_json() and Preprocess.from_json(DRAFT.to_json()) == EXACT


@pytest.mark.parametrize("workers", [0, 1])
def test_whoever_decodes_drafts(workers: int) -> None:
    data = picture(1201, 800)
    for preprocess in (EXACT, DRAFT):
        with DecodePool(preprocess, workers) as pool:
            np.testing.assert_array_equal(pool.submit([data]).result().pixels[0], decode(data, preprocess).pixels)


def test_a_run_says_whether_it_drafted(tmp_path: Path, model: tuple[object, ...]) -> None:
    (tmp_path / "large.jpg").write_bytes(picture(1200, 900))
    indexes = [tmp_path / f"{name}.clipdb" for name in ("exact", "draft")]
    for index, flags in zip(indexes, ([], ["--draft"]), strict=True):
        done("ingest", "images", tmp_path / "large.jpg", *model, "--workers", 1, *flags, "-i", index)
    said = [json.loads(rows(index, "select arguments from runs")[0][0])["draft"] for index in indexes]
    assert said == [False, True]
    sizes = [rows(index, "select width, height, image_id from images") for index in indexes]
    assert sizes[0] == sizes[1] and sizes[0][0][:2] == (1200, 900)
