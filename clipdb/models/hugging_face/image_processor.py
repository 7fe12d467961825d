"""How a model of transformers wants its images, in clipdb's terms.

The pixels are those of transformers' processors on Pillow, which models were trained with. Its processors on torch
tensors round otherwise, by a level or two of 255.
"""

from __future__ import annotations

from math import isqrt
from pathlib import Path
from typing import Any

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.models.hugging_face.library import LOADING_ERRORS, from_folder
from clipdb.models.preprocess import Preprocess

_PROCESSORS = ("CLIP", "Siglip", "ChineseCLIP", "Blip", "ViT", "Bit")
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
_MOST_PATCHES, _LARGEST_PATCH = 4096, 256  # of NaFlex; its models were trained with up to 1024 patches of 16 pixels


def preprocess_in(folder: Path, where: str) -> Preprocess:
    """Read the preprocessing of the model in a folder.

    Raises
    ------
    ClipdbError
        If there is none, or it isn't one that clipdb knows.
    """
    try:
        processor = from_folder("AutoImageProcessor", folder)
    except LOADING_ERRORS as error:
        raise ClipdbError(
            f"{where} has no image processor that can be read ({first_line(error)}): "
            "it has to have a preprocessor_config.json"
        ) from error
    return _preprocess(processor, where)


def _preprocess(processor: Any, where: str) -> Preprocess:
    kind = type(processor).__name__.partition("ImageProcessor")[0]
    if kind == "Siglip2":
        return _flexible(processor, where)
    if kind not in _PROCESSORS:
        raise ClipdbError(f"{where} prepares its images with {type(processor).__name__}, which clipdb doesn't know")
    size, crop = processor.size, processor.crop_size if processor.do_center_crop else None
    interpolation = _INTERPOLATIONS.get(int(processor.resample))
    side = size.shortest_edge or size.height
    cut = side if crop is None else crop.height
    square = size.height == size.width and (crop is None or crop.height == crop.width)
    # What is cut out is all of the shortest side, or less (DINOv2).
    square = square and bool(side and (cut <= side if size.shortest_edge else cut == side))
    known = processor.do_resize and processor.do_rescale and processor.do_normalize and interpolation is not None
    if not (known and square and abs(processor.rescale_factor * 255 - 1) < 1e-6):
        raise _unknown(processor, where)
    if size.shortest_edge and crop is None:
        raise ClipdbError(f"{where} doesn't cut its images to squares: clipdb ingests square inputs only")
    mean, std = _mean_and_std(processor)
    mode = "shortest" if size.shortest_edge else "squash"
    return Preprocess(
        int(cut),
        mean,
        std,
        interpolation,  # type: ignore[arg-type]
        mode,
        library="transformers",
        resize_to=None if cut == side else int(side),
    )


def _flexible(processor: Any, where: str) -> Preprocess:
    """Read how NaFlex wants its images: as patches of any grid."""
    patch, most = processor.patch_size, processor.max_num_patches
    interpolation = _INTERPOLATIONS.get(int(processor.resample))
    known = processor.do_resize and processor.do_rescale and processor.do_normalize and interpolation is not None
    sizes = isinstance(patch, int) and isinstance(most, int) and 1 <= patch <= _LARGEST_PATCH
    if not (known and sizes and 1 <= most <= _MOST_PATCHES and abs(processor.rescale_factor * 255 - 1) < 1e-6):
        raise _unknown(processor, where)
    return Preprocess(
        patch * isqrt(most),
        *_mean_and_std(processor),
        interpolation,  # type: ignore[arg-type]
        "patches",
        library="transformers",
        patch_size=patch,
        max_patches=most,
    )


def _mean_and_std(processor: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    mean, std = (tuple(float(x) for x in one) for one in (processor.image_mean, processor.image_std))
    return mean, std  # type: ignore[return-value]


def _unknown(processor: Any, where: str) -> ClipdbError:
    return ClipdbError(f"{where} prepares its images in a way that clipdb doesn't know: {first_line(processor)}")
