"""Where in a picture the model's square lies, against the square itself."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipdb.models.preprocess import Preprocess, decode, decode_whole, shown

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def png(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def ramps(width: int, height: int) -> np.ndarray:
    """A picture whose red says how far across a pixel is, and whose green how far down."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return np.rint(np.stack([x, y, np.full_like(x, 0.5)], axis=-1) * 255).astype(np.uint8)


modes = st.sampled_from(["shortest", "longest", "squash"])


@settings(max_examples=120, deadline=None)
@given(
    width=st.integers(8, 300), height=st.integers(8, 300), side=st.sampled_from([32, 63, 224]), mode=modes,
    across=st.floats(0, 1), down=st.floats(0, 1),
)  # fmt: skip
def test_what_the_square_shows_at_a_place_is_what_the_picture_has_there(
    width: int, height: int, side: int, mode: str, across: float, down: float
) -> None:
    preprocess = Preprocess(side, MEAN, STD, "bilinear", mode)
    pixels = decode(png(ramps(width, height)), preprocess).pixels
    left, top, right, bottom = shown(width, height, preprocess)
    row, column = min(int(down * side), side - 1), min(int(across * side), side - 1)
    x, y = left + (column + 0.5) * (right - left) / side, top + (row + 0.5) * (bottom - top) / side
    # At the edges a resampled ramp is flattened, and its value is a mean of what is inside.
    margin_x, margin_y = max(1.5, 1.5 * (right - left) / side), max(1.5, 1.5 * (bottom - top) / side)
    if x < -margin_x or y < -margin_y or x > width + margin_x or y > height + margin_y:
        assert not pixels[row, column].any()  # padding
    elif margin_x < x < width - margin_x and margin_y < y < height - margin_y:
        assert pixels[row, column, 0] / 255 * width == pytest.approx(x, abs=0.05 + width / 200)
        assert pixels[row, column, 1] / 255 * height == pytest.approx(y, abs=0.05 + height / 200)


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(64, 400), height=st.integers(64, 400), mode=modes, patches=st.sampled_from([4, 7]),
    row=st.integers(0, 6), column=st.integers(0, 6),
)  # fmt: skip
def test_a_marker_in_the_middle_of_a_patch_is_seen_in_that_patch(
    width: int, height: int, mode: str, patches: int, row: int, column: int
) -> None:
    preprocess = Preprocess(8 * patches, MEAN, STD, "bicubic", mode)
    row, column = row % patches, column % patches
    left, top, right, bottom = shown(width, height, preprocess)
    wide, high = (right - left) / patches, (bottom - top) / patches
    x, y = left + (column + 0.5) * wide, top + (row + 0.5) * high
    across, down = np.abs(np.arange(width) + 0.5 - x) < wide / 4, np.abs(np.arange(height) + 0.5 - y) < high / 4
    if (
        not (across.any() and down.any())
        or x - wide / 4 < 0
        or x + wide / 4 > width
        or y - high / 4 < 0
        or y + high / 4 > height
    ):
        return  # in the padding, at least in part
    picture = np.zeros((height, width, 3), np.uint8)
    picture[np.ix_(down, across)] = 255
    light = decode(png(picture), preprocess).pixels[..., 0].astype(float)
    by_patch = light.reshape(patches, 8, patches, 8).sum(axis=(1, 3))
    assert np.unravel_index(by_patch.argmax(), by_patch.shape) == (row, column)
    assert by_patch[row, column] > 0.95 * by_patch.sum()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 20), (1990, 0, 2010, 20)),
        ((20, 4000), (0, 1990, 20, 2010)),
        ((128, 64), (32, 0, 96, 64)),
        ((64, 64), (0, 0, 64, 64)),
    ],
)
def test_known_squares(size: tuple[int, int], expected: tuple[float, ...]) -> None:
    assert shown(*size, Preprocess(64, MEAN, STD)) == pytest.approx(expected)


def test_padding_lies_outside_of_the_picture() -> None:
    assert shown(128, 64, Preprocess(64, MEAN, STD, resize_mode="longest")) == (0, -32, 128, 96)
    assert shown(128, 64, Preprocess(64, MEAN, STD, resize_mode="squash")) == (0, 0, 128, 64)


def test_places_are_those_of_the_upright_picture() -> None:
    picture = np.zeros((40, 80, 3), np.uint8)  # lies on its side: upright it is 40 wide and 80 high
    picture[:, 60:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = decode_whole(png(picture, exif=exif))
    assert upright.size == (40, 80) and upright.mode == "RGB"
    assert np.asarray(upright)[60:].all() and not np.asarray(upright)[:60].any()
    seen = decode(png(picture, exif=exif), Preprocess(32, MEAN, STD))
    assert (seen.width, seen.height) == (40, 80)
    assert shown(seen.width, seen.height, Preprocess(32, MEAN, STD)) == (0, 20, 40, 60)
