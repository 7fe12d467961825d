"""Formats that need a plugin of Pillow's or a library of its own."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from clipdb.models.preprocess import Preprocess, Undecodable, decode, decode_whole

P64 = Preprocess(64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def picture() -> Image.Image:
    """Make a smooth picture that looks different from every side."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((90, 60), Image.Resampling.BICUBIC)


def test_heic_is_decoded_upright() -> None:
    pytest.importorskip("pillow_heif")
    upright = picture()
    for orientation, turned in ((1, upright), (6, upright.transpose(Image.Transpose.ROTATE_270))):
        exif = upright.getexif()
        exif[0x0112] = orientation
        buffer = io.BytesIO()
        upright.save(buffer, "HEIF", quality=95, exif=exif.tobytes())  # which stores the turn as phones do
        decoded = decode(buffer.getvalue(), P64)
        assert (decoded.width, decoded.height, decoded.format) == (*turned.size, "HEIF")
        whole = np.asarray(decode_whole(buffer.getvalue())).astype(int)
        assert np.abs(whole - np.asarray(turned)).mean() < 6
    with pytest.raises(Undecodable):
        decode(buffer.getvalue()[: len(buffer.getvalue()) // 2], P64)


def test_jpeg_2000_is_decoded() -> None:
    upright = picture()
    jpeg, png = io.BytesIO(), io.BytesIO()
    upright.save(jpeg, "JPEG2000", irreversible=False)
    upright.save(png, "PNG")
    decoded = decode(jpeg.getvalue(), P64)
    assert (decoded.width, decoded.height, decoded.format) == (90, 60, "JPEG2000")
    assert (decoded.pixels == decode(png.getvalue(), P64).pixels).all()
