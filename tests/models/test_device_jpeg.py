"""JPEGs that a device decodes, on the CPU's decoder of the same library, and on a GPU where there is one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import refused

from clipdb.errors import ClipdbError
from clipdb.ingest.images.decoding.on_device import DeviceDecoders
from clipdb.ingest.images.decoding.workers import DecodePool
from clipdb.models.device_jpeg import AT_ONCE, DeviceJpegs, plain_jpeg
from clipdb.models.preprocess import Preprocess, Undecodable, decode

WANTED = Preprocess(96, (0.5,) * 3, (0.5,) * 3)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def picture(width: int, height: int, mode: str = "RGB", form: str = "JPEG", turn: int | None = None) -> bytes:
    """A picture of soft shapes; ``turn`` is its EXIF orientation."""
    random = np.random.default_rng(width)
    small = Image.fromarray(random.integers(0, 256, (6, 9, 3), np.uint8))
    exif = Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    file = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(file, form, exif=exif)
    return file.getvalue()


def decoded(images: Sequence[bytes], preprocess: Preprocess = WANTED, device: str = "cpu") -> tuple[np.ndarray, list]:
    """Decode a batch where plain JPEGs are the device's."""
    jpegs = DeviceJpegs(preprocess, torch.device(device))
    with DeviceDecoders(DecodePool(preprocess, 0), jpegs) as decoders:
        batch = decoders.submit(images).result()
    return batch.pixels.cpu().numpy(), batch.decoded


def same_facts(found: object, data: bytes, preprocess: Preprocess = WANTED) -> bool:
    exact = decode(data, preprocess)
    return found == (exact.width, exact.height, exact.format)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("turn", [None, *range(1, 9), 77])
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_pixels_are_pillows_but_for_rounding(mode: str, turn: int | None, device: str) -> None:
    preprocess = replace(WANTED, resize_mode=mode, fill_color=40)
    images = [picture(400, 301, turn=turn), picture(60, 90, turn=turn), picture(96, 96, "L", turn=turn)]
    assert all(plain_jpeg(data) for data in images)
    pixels, facts = decoded(images, preprocess, device)
    for data, mine, said in zip(images, pixels, facts, strict=True):
        assert same_facts(said, data, preprocess)
        error = np.abs(decode(data, preprocess).pixels.astype(int) - mine)
        assert error.mean() < (0.1 if device == "cpu" else 0.5) and error.max() <= (2 if device == "cpu" else 16)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("library", ["open_clip", "transformers"])
def test_real_photographs(photos: Path, library: str, interpolation: str) -> None:
    resize_to = None if library == "open_clip" else 256
    preprocess = replace(WANTED, image_size=224, library=library, resize_to=resize_to, interpolation=interpolation)
    images = [file.read_bytes() for file in sorted(photos.glob("*.JPEG"))[:40]]
    plain = [data for data in images if plain_jpeg(data)]
    assert len(plain) >= 35
    pixels, facts = decoded(images, preprocess)
    errors = [decode(data, preprocess).pixels - mine.astype(float) for data, mine in zip(images, pixels, strict=True)]
    assert np.abs(errors).mean() < 0.01 and np.abs(errors).max() <= 2
    assert all(same_facts(said, data, preprocess) for said, data in zip(facts, images, strict=True))


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


THUMBNAIL = picture(32, 32)
CASES = {
    "PNG": picture(200, 100, form="PNG"),
    "CMYK": picture(200, 100, "CMYK"),
    "long": picture(4000, 100),
    "empty": b"",
    "no image": b"nothing of the kind",
    "cut off": cut(picture(300, 200)),
    "cut off behind a thumbnail": THUMBNAIL[:2]
    + b"\xff\xe7"
    + (len(THUMBNAIL) + 2).to_bytes(2, "big")
    + THUMBNAIL
    + cut(picture(300, 200))[2:],
    "another's header": picture(300, 200).replace(b"JFIF", b"JFIX", 1),
}


@pytest.mark.parametrize("name", CASES)
def test_all_others_are_pillows(name: str) -> None:
    """To the bit, or with its reason."""
    data = CASES[name]
    assert plain_jpeg(data) is None
    around = [picture(120, 130), data, picture(140, 150)]
    pixels, facts = decoded(around)
    try:
        exact = decode(data, WANTED).pixels
    except Undecodable as why:
        assert facts[1] == str(why) and len(pixels) == 2
    else:
        np.testing.assert_array_equal(pixels[1], exact)
    assert same_facts(facts[0], around[0]) and same_facts(facts[2], around[2])
    np.testing.assert_allclose(pixels[-1], decode(around[2], WANTED).pixels, atol=2)


def test_damage_that_a_header_does_not_show_leaves_the_others_alone() -> None:
    whole = picture(300, 200)
    scan = whole.rfind(b"\xff\xda")
    damaged = whole[:scan] + whole[scan:].replace(b"\xff\xda\x00\x0c", b"\xff\xda\x00\x02", 1)
    assert plain_jpeg(damaged) and damaged != whole
    with pytest.raises(Undecodable) as why:
        decode(damaged, WANTED)
    pixels, facts = decoded([whole, damaged, whole])
    assert facts[1] == str(why.value) and len(pixels) == 2
    np.testing.assert_array_equal(pixels[0], pixels[1])


def test_bytes_behind_the_end_do_no_harm() -> None:
    assert plain_jpeg(picture(200, 100) + b"12345678") is not None


def test_many_large_ones_are_decoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [picture(120 + 8 * number, 100) for number in range(7)]
    whole, _ = decoded(images)
    monkeypatch.setattr("clipdb.models.device_jpeg.AT_ONCE", 30_000)
    parts, _ = decoded(images)
    np.testing.assert_array_equal(whole, parts)
    assert AT_ONCE > 30_000


def test_pixels_that_are_far_from_pillows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Negative(DeviceJpegs):
        """A decoder that takes light for dark."""

        def _decoded(self, images: Sequence[bytes]) -> list[torch.Tensor]:
            return [255 - one for one in super()._decoded(images)]

    jpegs = Negative(WANTED, torch.device("cpu"))
    with DeviceDecoders(DecodePool(WANTED, 0), jpegs) as decoders:
        batch = decoders.submit([picture(200, 100)])
        with pytest.raises(ClipdbError, match=r"--gpu-decode: pixels are \d+\.\d\d grey levels from Pillow's"):
            batch.result()


def test_how_far_they_are_is_noted_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipdb._util.notes._on_stderr", False)  # as it is where no command ran before
    jpegs = DeviceJpegs(WANTED, torch.device("cpu"))
    with DeviceDecoders(DecodePool(WANTED, 0), jpegs) as decoders:
        for batch in ([picture(90, 80, form="PNG")], [picture(200, 100)] * 3, [picture(210, 100)]):
            decoders.submit(batch).result()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and said[0].endswith("in the first 3 images"), said


def test_where_no_gpu_is_it_is_refused(pictures: list[Path], model: tuple[object, ...], tmp_path: Path) -> None:
    for index, how in ((tmp_path / "no" / "folder" / "x.clipdb", []), (tmp_path / "x.clipdb", ["--ray"])):
        line = refused("ingest", "images", pictures[0], *model, "--gpu-decode", "-i", index, *how)
        assert line == "--gpu-decode needs an NVIDIA GPU, and this runs on cpu: leave it out"
        assert not list(tmp_path.iterdir())


def test_pictures_in_their_own_shape_are_refused() -> None:
    flexible = replace(WANTED, resize_mode="patches", patch_size=16, max_patches=36)
    with pytest.raises(ClipdbError, match="in their own shape"):
        DeviceJpegs(flexible, torch.device("cpu"))


def test_a_model_takes_what_a_device_decoded() -> None:
    """The input that it makes of a tensor is that of an array of the same numbers."""
    from clipdb.models.loading import load

    model = load("clipdb-tiny/scenes", None, "cpu")
    images = [picture(200, 100), picture(100, 200)]
    with DeviceDecoders(DecodePool(model.preprocess, 0), DeviceJpegs(model.preprocess, model.device)) as decoders:
        pixels = decoders.submit(images).result().pixels
    before = pixels.clone()
    of_tensor, of_array = (model.pixels_to_input(torch.as_tensor(one)) for one in (pixels, pixels.numpy()))
    assert torch.equal(of_tensor, of_array) and torch.equal(pixels, before)
