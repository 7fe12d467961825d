"""Turns the bytes of an image file into the uint8 pixels that a CLIP image tower was trained on.

The geometry is open_clip's ``image_transform_v2(is_train=False)`` or that of transformers' processors on Pillow, bit
for bit, without torch: decoding runs in worker processes that have to start fast. The rest of both, ``(x / 255 - mean)
/ std``, runs on the device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from clipdb.errors import ClipdbError
from clipdb.models.file_check import problem_of
from clipdb.models.image_formats import FORMATS, heic_hint, is_heic
from clipdb.models.patches import patch_grid, to_patches
from clipdb.models.pixels import eight_bits, on_white, orientation, upright, upright_size

MAX_BYTES = 512 * 2**20
"""Largest image file that is read, in bytes."""

_ASPECT = 32  # longer pictures are resampled only where the crop is: a 1 x N one would become S x (N S) first
_SIDE = 100_000  # the resampling table takes about 32 bytes a source pixel of a side: reduce such sides first
_DRAFT = 3  # times as large as a picture becomes: smaller ones are quicker, but fine detail errs by several grey levels
_T = TypeVar("_T")


class Undecodable(Exception):
    """The bytes are not an image that can be decoded; the message says why in one line."""


class Box(NamedTuple):
    """A rectangle in a picture, in pixels from its top left corner."""

    left: float
    top: float
    right: float
    bottom: float


class ImageFacts(NamedTuple):
    """What a decoded file was: upright width and height in pixels, and Pillow's name of its format."""

    width: int
    height: int
    format: str


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded image: ``pixels`` uint8 RGB of `Preprocess.shape`, and the facts as in `ImageFacts`."""

    pixels: np.ndarray
    width: int
    height: int
    format: str


@dataclass(frozen=True)
class Preprocess:
    """How a model wants its images, in the terms of open_clip's ``PreprocessCfg``.

    Parameters
    ----------
    image_size
        S, the side of the square input in pixels; where pictures keep their shape, of the largest square one.
    mean, std
        Per channel, on pixels scaled to 0..1.
    interpolation
        ``"bicubic"`` or ``"bilinear"``.
    resize_mode
        ``"shortest"`` (shortest side to S, centre crop), ``"longest"`` (longest side to S, padding), ``"squash"``, or
        ``"patches"`` (pictures keep their shape: see `clipdb.models.patches`).
    fill_color
        Grey level 0..255 of the padding.
    library
        ``"open_clip"``, or ``"transformers"``, which puts what is transparent on white, resizes in RGB, and rounds
        down where the crop begins.
    resize_to
        In the mode ``"shortest"``, what the shortest side becomes before the crop, S or more; None is S.
    patch_size, max_patches
        In the mode ``"patches"``, the side of a patch in pixels, and the most patches of a picture, N.
    draft
        Whether a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which still is three times what it becomes.
        That is how it is read once, not what the model wants: it isn't part of the JSON.
    """

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0
    library: str = "open_clip"
    resize_to: int | None = None
    patch_size: int | None = None
    max_patches: int | None = None
    draft: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a picture's pixels: ``(S, S, 3)``, or ``(N, 3 p^2 + 1)`` as patches."""
        if self.patch_size is None or self.max_patches is None:
            return self.image_size, self.image_size, 3
        return self.max_patches, 3 * self.patch_size**2 + 1

    def grid(self, width: int, height: int) -> tuple[int, int] | None:
        """Return how many rows and columns of patches a picture becomes that keeps its shape; None where none does."""
        if self.patch_size is None or self.max_patches is None:
            return None
        return patch_grid(width, height, self.patch_size, self.max_patches)

    @classmethod
    def from_open_clip(cls, config: Mapping[str, Any]) -> Preprocess:
        """Read an open_clip preprocessing dictionary (``model.visual.preprocess_cfg``).

        Raises
        ------
        ClipdbError
            When the input is not a square RGB image or a mode is unknown.
        """
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        if height != width:
            raise ClipdbError(f"the model takes {height} x {width} images: clipdb ingests square inputs only")
        # 'random' is a training augmentation: open_clip evaluates with bicubic
        interpolation = "bilinear" if config.get("interpolation") == "bilinear" else "bicubic"
        resize_mode = config.get("resize_mode") or "shortest"
        if config.get("mode", "RGB") != "RGB" or resize_mode not in ("shortest", "longest", "squash"):
            raise ClipdbError(f"the model's preprocessing is not one that clipdb knows: {dict(config)}")
        mean, std = (tuple(float(x) for x in config[name]) for name in ("mean", "std"))
        return cls(int(height), mean, std, interpolation, resize_mode, int(config.get("fill_color") or 0))  # type: ignore[arg-type]

    def to_json(self) -> str:
        """One line of JSON, keys sorted, without what is as usual: equal settings give equal text."""
        usual = {"library": "open_clip", "resize_to": None, "patch_size": None, "max_patches": None}
        own = {name: value for name, value in asdict(self).items() if name != "draft"}
        fields = {name: value for name, value in own.items() if name not in usual or value != usual[name]}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Preprocess:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "mean": tuple(fields["mean"]), "std": tuple(fields["std"])})


def decode(data: bytes, preprocess: Preprocess) -> Decoded:
    """Decode an image file, turn it upright, resize and crop it.

    Files that are not 8-bit RGB are converted: animations give their first frame, deep greys are scaled to 8 bits,
    transparency is treated as the model's library treats it, an EXIF orientation is applied.

    Parameters
    ----------
    data
        The bytes of the file.
    preprocess
        What the model wants.

    Returns
    -------
    Decoded
        Pixels uint8 of `Preprocess.shape`.

    Raises
    ------
    Undecodable
        When the bytes are empty, larger than `MAX_BYTES`, no image, damaged, a decompression bomb, or a
        JPEG of scans without end.
    """

    def finish(image: Image.Image, size: tuple[int, int], kind: str) -> Decoded:
        return Decoded(_pixels(image, preprocess), *size, kind)

    return _finished(data, finish, preprocess if preprocess.draft else None)


def decode_whole(data: bytes) -> Image.Image:
    """Decode an image file and turn it upright, in its own size, RGB.

    Raises
    ------
    Undecodable
        As `decode` does.
    """
    return _finished(data, lambda upright, *_: upright.convert("RGB"))


def shown(width: int, height: int, preprocess: Preprocess) -> Box:
    """Find what part of an upright picture the model's square shows, sizes in pixels.

    Returns
    -------
    Box
        In the upright picture's pixels; it reaches over the edge where the square has padding.
    """
    if preprocess.resize_mode == "patches":
        return Box(0.0, 0.0, float(width), float(height))
    if preprocess.resize_mode == "shortest" and is_long(width, height):
        return _middle_square(width, height, preprocess)
    (across, down), (left, top) = layout(width, height, preprocess)
    side, x, y = preprocess.image_size, width / across, height / down
    return Box(left * x, top * y, (left + side) * x, (top + side) * y)


def _finished(
    data: bytes, finish: Callable[[Image.Image, tuple[int, int], str], _T], draft_for: Preprocess | None = None
) -> _T:
    """Make something of a file's upright 8-bit image, its size in the file, and Pillow's name of its format."""
    if not data:
        raise Undecodable("the file is empty")
    if len(data) > MAX_BYTES:
        raise Undecodable(f"the file has {len(data):,} bytes: more than {MAX_BYTES:,}")
    if problem := problem_of(data):
        raise Undecodable(problem)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            whole = image.size
            if draft_for is not None and not is_long(*whole):
                (across, down), _ = layout(*whole, draft_for)
                image.draft(None, (_DRAFT * across, _DRAFT * down))
            image.load()
            size = upright_size(orientation(image), whole)
            return finish(upright(image, eight_bits(image)), size, image.format or "unknown")
    except Image.UnidentifiedImageError:
        if "HEIF" not in FORMATS and is_heic(data):
            raise Undecodable(f"a HEIC image: {heic_hint()}") from None
        raise Undecodable(f"not an image that can be read: it begins with {data[:12]!r}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Undecodable(f"a decompression bomb? {error}") from None
    except Exception as error:  # decoders raise nearly anything: one damaged file must not end a run
        text = " ".join(str(error).split()) or type(error).__name__
        raise Undecodable(text if isinstance(error, OSError) else f"{type(error).__name__}: {text}") from None


def _pixels(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    image = _fit(image, preprocess)
    if preprocess.patch_size is None or preprocess.max_patches is None:
        return np.array(image)
    return to_patches(image, preprocess.patch_size, preprocess.max_patches)


def _fit(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Resize, convert to RGB and crop or pad to S x S, in open_clip's order and with its rounding."""
    side, (width, height) = preprocess.image_size, image.size
    if preprocess.library == "transformers":
        image = on_white(image)
    resample = Image.Resampling.BILINEAR if preprocess.interpolation == "bilinear" else Image.Resampling.BICUBIC
    if preprocess.resize_mode == "shortest" and is_long(width, height):
        return image.resize((side, side), resample, _middle_square(width, height, preprocess)).convert("RGB")
    gap = 3.0 if preprocess.resize_mode != "shortest" and max(width, height) > _SIDE else None
    size, (left, top) = layout(width, height, preprocess)
    image = image.resize(size, resample, reducing_gap=gap).convert("RGB")
    if preprocess.resize_mode == "patches":
        return image
    if preprocess.resize_mode == "longest":
        padded = Image.new("RGB", (side, side), (preprocess.fill_color,) * 3)
        padded.paste(image, (-left, -top))
        return padded
    return image.crop((left, top, left + side, top + side))


def layout(width: int, height: int, preprocess: Preprocess) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size that a picture is resized to, and where in it the model's square begins (padding is negative)."""
    side = preprocess.image_size
    if (grid := preprocess.grid(width, height)) and preprocess.patch_size:
        return (grid[1] * preprocess.patch_size, grid[0] * preprocess.patch_size), (0, 0)
    if preprocess.resize_mode == "squash":
        return (side, side), (0, 0)
    if preprocess.resize_mode == "longest":
        ratio = max(height / side, width / side)
        size = (max(1, round(width / ratio)), max(1, round(height / ratio)))
        return size, (-((side - size[0]) // 2), -((side - size[1]) // 2))
    short = preprocess.resize_to or side
    long = int(short * max(width, height) / min(width, height))
    size = (short, long) if width <= height else (long, short)
    begin = int if preprocess.library == "transformers" else round
    return size, (begin((size[0] - side) / 2.0), begin((size[1] - side) / 2.0))


def is_long(width: int, height: int) -> bool:
    """Return whether a picture is so long that it is resampled only where the crop is."""
    return max(width, height) > _ASPECT * min(width, height)


def _middle_square(width: int, height: int, preprocess: Preprocess) -> Box:
    side = min(width, height) * preprocess.image_size / (preprocess.resize_to or preprocess.image_size)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(left, top, left + side, top + side)
