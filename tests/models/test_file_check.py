"""Files that Pillow would decode in silence, or for minutes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from support import MODEL, clipdb, rows

from clipdb.models.file_check import MOST_SCANS, problem_of
from clipdb.models.preprocess import Preprocess, Undecodable, decode

P64 = Preprocess(64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
PIXELS = np.asarray(Image.fromarray(NOISE).resize((400, 300)))


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer.getvalue()


def commented_png() -> bytes:
    comment = PngImagePlugin.PngInfo()
    comment.add(b"noTe", b"after the pixels", after_idat=True)
    return encoded("PNG", pnginfo=comment)


def scans(number: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    jpeg = encoded("JPEG", progressive=True, quality=30)
    own = jpeg.count(b"\xff\xda")
    last, end = jpeg.rindex(b"\xff\xda"), len(jpeg) - 2
    return jpeg[:end] + jpeg[last:end] * (number - own) + jpeg[end:]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def half_zeros(png: bytes) -> bytes:
    return png[: len(png) // 2] + bytes(len(png) - len(png) // 2)


def by_pillow(data: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError):
        return None


def test_a_png_whose_pixels_are_damaged_is_not_decoded() -> None:
    png = commented_png()
    damaged = [flipped(png, place) for place in range(png.index(b"noTe") - 6000, png.index(b"noTe") - 20, 50)]
    wrong = [one for one in damaged if (pixels := by_pillow(one)) is not None and not np.array_equal(pixels, PIXELS)]
    assert wrong  # Pillow takes them, with other pixels
    for one in (*wrong, half_zeros(png)):
        with pytest.raises(Undecodable, match=r"^damaged: the CRC of the PNG's chunk at byte [\d,]+ is wrong$"):
            decode(one, P64)


def test_any_flipped_bit_of_the_pixels_is_noticed() -> None:
    png = commented_png()
    pixels = range(png.index(b"IDAT"), png.index(b"noTe") - 4)
    for place in np.random.default_rng(1).choice(pixels, 200, replace=False):
        assert str(problem_of(flipped(png, int(place)))).startswith("damaged: "), place


def test_a_comment_may_be_damaged() -> None:
    png = commented_png()
    damaged = flipped(png, png.index(b"after"))
    assert problem_of(png) is problem_of(damaged) is None
    assert np.array_equal(decode(png, P64).pixels, decode(damaged, P64).pixels)


def test_what_follows_a_png_does_not_matter() -> None:
    assert decode(commented_png() + b"\0" * 100, P64).width == 400


def test_a_jpeg_of_scans_without_end_is_not_decoded() -> None:
    assert decode(scans(MOST_SCANS), P64).width == 400
    with pytest.raises(Undecodable, match=r"^the JPEG has 2,000 scans: more than 100 are not read$"):
        decode(scans(2000), P64)
    filled = scans(2000).replace(b"\xff\xda", b"\xff\xff\xff\xda")  # a marker may have any number of 0xff before it
    with pytest.raises(Undecodable, match=r"^the JPEG has 2,000 scans"):
        decode(filled, P64)


@pytest.mark.parametrize("place", ["in a segment", "after the end"])
def test_what_only_looks_like_scans_is_none(place: str) -> None:
    jpeg, like = encoded("JPEG", progressive=True), b"\xff\xda" * 5000
    segment = b"\xff\xe5" + (len(like) + 2).to_bytes(2) + like
    data = jpeg[:2] + segment + jpeg[2:] if place == "in a segment" else jpeg + like
    assert np.array_equal(decode(data, P64).pixels, decode(jpeg, P64).pixels)


def test_an_ingest_keeps_the_reason(tmp_path: Path, model: tuple[object, ...]) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "whole.png").write_bytes(commented_png())
    (folder / "half.png").write_bytes(half_zeros(commented_png()))
    (folder / "scans.jpg").write_bytes(scans(2000))
    index = tmp_path / "i.clipdb"
    assert clipdb("ingest", "images", folder, *model, "--workers", 0, "-i", index).exit_code == 0
    failures = dict(rows(index, "select uri, error from image_failures"))
    assert sorted(failures) == [str(folder / "half.png"), str(folder / "scans.jpg")]
    assert failures[str(folder / "half.png")].startswith("damaged: ")
    assert rows(index, "select count(*) from images") == [(1,)] and rows(index, "select model_id from models") == [
        (MODEL,)
    ]


def test_photographs_saved_as_png_are_whole(photos: Path) -> None:
    for file in sorted(photos.glob("*.JPEG"))[:40]:
        buffer = io.BytesIO()
        with Image.open(file) as photo:
            photo.convert("RGB").save(buffer, "PNG", compress_level=1)
        assert problem_of(file.read_bytes()) is problem_of(buffer.getvalue()) is None
        png = buffer.getvalue()
        assert str(problem_of(png[: len(png) // 2] + bytes(len(png) - len(png) // 2))).startswith("damaged: ")
