"""Decoding against open_clip's own transform, and every kind of file a folder of photographs holds."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from clipdb.errors import ClipdbError
from clipdb.models import preprocess as module
from clipdb.models.preprocess import Preprocess, Undecodable, decode

PHOTOS = Path(__file__).parents[2] / ".." / "shared" / "photos"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
P64 = Preprocess(64, MEAN, STD)


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    data = np.random.default_rng(seed).integers(0, 256, (height, width, bands), np.uint8)
    # smooth, or a JPEG round trip and every resampling look alike
    image = Image.fromarray(data[..., 0] if bands == 1 else data)
    return image.resize((max(1, width // 3), max(1, height // 3))).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def by_open_clip(data: bytes, preprocess: Preprocess) -> torch.Tensor:
    config = PreprocessCfg(
        size=preprocess.image_size,
        mean=preprocess.mean,
        std=preprocess.std,
        interpolation=preprocess.interpolation,
        resize_mode=preprocess.resize_mode,
        fill_color=preprocess.fill_color,
    )
    return image_transform_v2(config, is_train=False)(Image.open(io.BytesIO(data)))


def normalised(pixels: np.ndarray, preprocess: Preprocess) -> torch.Tensor:
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div(255)
    return (x - torch.tensor(preprocess.mean)[:, None, None]) / torch.tensor(preprocess.std)[:, None, None]


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    side=st.sampled_from([32, 63, 64, 224]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize_mode=st.sampled_from(["shortest", "longest", "squash"]),
    fill=st.sampled_from([0, 127]),
    mode=st.sampled_from(["RGB", "L", "RGBA", "LA"]),
)
def test_equals_open_clip_bit_for_bit(
    width: int, height: int, side: int, interpolation: str, resize_mode: str, fill: int, mode: str
) -> None:
    if max(width, height) > 32 * min(width, height):  # see test_extreme_aspect_ratios
        height = width
    if fill and mode != "RGB":  # open_clip pads before it converts: an alpha of the fill colour, then dropped
        mode = "RGB"
    preprocess = Preprocess(side, MEAN, STD, interpolation, resize_mode, fill)
    data = encode(noise(width, height, mode), "PNG")
    decoded = decode(data, preprocess)
    assert torch.equal(normalised(decoded.pixels, preprocess), by_open_clip(data, preprocess))
    assert (decoded.width, decoded.height, decoded.format) == (width, height, "PNG")


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no photographs beside the checkout")
def test_photographs_equal_open_clip_bit_for_bit() -> None:
    preprocess = Preprocess(224, MEAN, STD)
    for path in sorted(PHOTOS.glob("*.JPEG"))[::10]:
        data = path.read_bytes()
        assert torch.equal(normalised(decode(data, preprocess).pixels, preprocess), by_open_clip(data, preprocess)), (
            path.name
        )


def test_cmyk_jpeg_equals_open_clip() -> None:
    data = encode(noise(90, 70).convert("CMYK"), "JPEG", quality=95)
    assert torch.equal(normalised(decode(data, P64).pixels, P64), by_open_clip(data, P64))


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000"])
def test_lossless_formats_give_the_same_pixels(kind: str) -> None:
    picture = noise(80, 100).quantize(32).convert("RGB")
    options = {"WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}}.get(kind, {})
    decoded = decode(encode(picture, kind, **options), P64)
    assert np.array_equal(decoded.pixels, decode(encode(picture, "PNG"), P64).pixels)
    assert (decoded.format, decoded.width, decoded.height) == (kind, 80, 100)


def test_palette_is_resized_as_colours_not_by_nearest_neighbour() -> None:
    palette = noise(200, 150).quantize(64)
    colours = decode(encode(palette.convert("RGB"), "PNG"), P64).pixels
    assert np.array_equal(decode(encode(palette, "PNG"), P64).pixels, colours)


def test_palette_with_transparency_equals_the_same_picture_in_rgba() -> None:
    palette = noise(200, 150).quantize(64)
    palette.info["transparency"] = bytes([0] * 8 + [255] * 56)
    data = encode(palette, "PNG", transparency=palette.info["transparency"])
    rgba = Image.open(io.BytesIO(data)).convert("RGBA")
    assert np.array_equal(decode(data, P64).pixels, decode(encode(rgba, "PNG"), P64).pixels)


def test_one_bit_images_are_resized_as_grey() -> None:
    bits = noise(200, 150, "L").convert("1")
    assert np.array_equal(decode(encode(bits, "PNG"), P64).pixels, decode(encode(bits.convert("L"), "PNG"), P64).pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    deep = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    pixels = decode(encode(Image.fromarray(deep), kind), P64).pixels
    assert np.array_equal(pixels, np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, 2))


def test_16_bit_pgm_is_scaled() -> None:
    deep = np.linspace(0, 65535, 64 * 64).astype(">u2").reshape(64, 64)
    pixels = decode(b"P5\n64 64\n65535\n" + deep.tobytes(), P64).pixels
    assert np.abs(pixels[..., 0].astype(int) - (deep >> 8)).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.linspace(0, 1, 4096, dtype=np.float32), np.rint(np.linspace(0, 255, 4096))),
        (np.linspace(0, 255, 4096, dtype=np.float32), np.rint(np.linspace(0, 255, 4096))),
        (np.linspace(-3, 5, 4096, dtype=np.float32), np.rint(np.linspace(0, 255, 4096))),
        (np.linspace(0, 2_000_000, 4096).astype(np.int32), np.rint(np.linspace(0, 255, 4096))),
        (np.linspace(0, 65535, 4096).astype(np.int32), np.floor(np.linspace(0, 65535, 4096).astype(int) / 256)),
    ],
    ids=["unit", "bytes", "negative", "large", "16 bit"],
)
def test_32_bit_tiff_is_scaled_by_its_range(values: np.ndarray, expected: np.ndarray) -> None:
    pixels = decode(encode(Image.fromarray(values.reshape(64, 64)), "TIFF"), P64).pixels
    assert np.abs(pixels[..., 0].ravel().astype(int) - expected).max() <= 1


def test_not_a_number_is_black() -> None:
    values = np.full((64, 64), 0.5, np.float32)
    values[0, 0] = np.nan
    pixels = decode(encode(Image.fromarray(values), "TIFF"), P64).pixels
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[9, 9].tolist() == [128, 128, 128]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_first_frame(kind: str) -> None:
    first, second = Image.new("RGB", (70, 70), (200, 30, 30)), Image.new("RGB", (70, 70), (30, 30, 200))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(first, kind, save_all=True, append_images=[second], **options)
    assert np.abs(decode(data, P64).pixels.astype(int) - (200, 30, 30)).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_rotated_images_stand_upright(kind: str, orientation: int) -> None:
    upright = Image.new("RGB", (96, 64), (0, 0, 0))
    upright.paste((250, 250, 250), (0, 0, 48, 32))  # the top left quarter
    # what a camera stores is the inverse of what the tag asks a viewer to do
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = upright.transpose(stored[orientation]) if orientation in stored else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(picture, kind, exif=exif), Preprocess(64, MEAN, STD, resize_mode="squash"))
    assert (decoded.width, decoded.height) == (96, 64)
    quarters = [decoded.pixels[y, x].mean() > 128 for y, x in ((16, 16), (16, 48), (48, 16), (48, 48))]
    assert quarters == [True, False, False, False]


def test_damaged_exif_does_not_cost_the_image() -> None:
    data = encode(noise(70, 70), "JPEG", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff\0\1")
    assert decode(data, P64).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 60_000), (3, 1)])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_extreme_aspect_ratios(size: tuple[int, int], resize_mode: str) -> None:
    preprocess = Preprocess(64, MEAN, STD, resize_mode=resize_mode)
    decoded = decode(encode(Image.new("RGB", size, (10, 200, 90)), "PNG"), preprocess)
    assert (decoded.width, decoded.height) == size
    assert decoded.pixels[31, 31].tolist() == [10, 200, 90]


def test_the_middle_of_a_strip_is_what_open_clip_shows() -> None:
    data = encode(noise(20, 1200), "PNG")  # 1:60, past the limit from which only the crop is resampled
    difference = normalised(decode(data, P64).pixels, P64) - by_open_clip(data, P64)
    assert difference.abs().max() < 0.06  # under 4 of 255 grey levels


def test_a_long_strip_takes_no_memory() -> None:
    data = encode(Image.new("L", (1, 2_000_000)), "PNG")
    assert decode(data, Preprocess(224, MEAN, STD, resize_mode="longest")).pixels.shape == (224, 224, 3)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_files_are_named_so(kind: str, keep: float) -> None:
    data = encode(noise(300, 300), kind)
    with pytest.raises(Undecodable, match=r"truncated|broken|incomplete|unrecognized"):
        decode(data[: int(len(data) * keep)], P64)


def test_text_and_nothing_are_no_images() -> None:
    with pytest.raises(Undecodable, match=r"not an image.*begins with b'Dear diary"):
        decode(b"Dear diary, today", P64)
    with pytest.raises(Undecodable, match="the file is empty"):
        decode(b"", P64)


def test_a_decompression_bomb_is_refused_with_its_size() -> None:
    bomb = encode(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(Undecodable, match=r"decompression bomb.*400000000 pixels"):
        decode(bomb, P64)


def test_eps_is_not_handed_to_ghostscript() -> None:
    with pytest.raises(Undecodable, match="not an image"):
        decode(encode(noise(20, 20), "EPS"), P64)


def test_files_past_the_limit_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(noise(40, 40), "PNG")
    monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
    with pytest.raises(Undecodable, match="more than"):
        decode(data, P64)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
def test_damage_anywhere_is_an_image_or_undecodable(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(encode(noise(40, 30), kind))
    for position in random.integers(0, len(data), 8):
        data[position] = random.integers(0, 256)
    try:
        assert decode(bytes(data), P64).pixels.shape == (64, 64, 3)
    except Undecodable as error:
        assert "\n" not in str(error)
        assert str(error)


def test_preprocess_goes_through_json() -> None:
    preprocess = Preprocess(336, MEAN, STD, "bilinear", "longest", 127)
    assert Preprocess.from_json(preprocess.to_json()) == preprocess
    assert hash(preprocess) == hash(Preprocess.from_json(preprocess.to_json()))


def test_preprocess_reads_open_clip() -> None:
    config = {"size": (224, 224), "mode": "RGB", "mean": list(MEAN), "std": STD, "interpolation": "random"}
    assert Preprocess.from_open_clip(config) == Preprocess(224, MEAN, STD)
    with pytest.raises(ClipdbError, match="square"):
        Preprocess.from_open_clip({**config, "size": (224, 336)})
    with pytest.raises(ClipdbError, match="preprocessing"):
        Preprocess.from_open_clip({**config, "resize_mode": "tile"})


def test_decoding_imports_neither_torch_nor_lance() -> None:
    code = (
        "import sys, clipdb.ingest.images.decoding.workers; "
        "print([m for m in ('torch', 'lance', 'lancedb', 'duckdb', 'pyarrow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
