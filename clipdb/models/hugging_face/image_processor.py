"""How a model of transformers wants its images, in clipdb's terms.

The pixels are those of transformers' processors on Pillow, which models were trained with. Its processors on torch
tensors round otherwise, by a level or two of 255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.models.hugging_face.library import LOADING_ERRORS, from_folder
from clipdb.models.preprocess import Preprocess

_PROCESSORS = ("CLIP", "Siglip", "ChineseCLIP", "Blip", "ViT", "Bit")
_INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}


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
        raise ClipdbError(f"{where} prepares its images in a way that clipdb doesn't know: {first_line(processor)}")
    if size.shortest_edge and crop is None:
        raise ClipdbError(f"{where} doesn't cut its images to squares: clipdb ingests square inputs only")
    mean, std = (tuple(float(x) for x in one) for one in (processor.image_mean, processor.image_std))
    mode = "shortest" if size.shortest_edge else "squash"
    return Preprocess(
        int(cut),
        mean,  # type: ignore[arg-type]
        std,  # type: ignore[arg-type]
        interpolation,  # type: ignore[arg-type]
        mode,
        library="transformers",
        resize_to=None if cut == side else int(side),
    )
