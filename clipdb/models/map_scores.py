"""How well maps agree with masks: pixel accuracy, mean intersection over union, mean average precision.

The measures of Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization" (CVPR 2021),
as they are used in zero-shot segmentation with heads of CLIP (Gandelsman et al., arXiv 2310.05916, section 5). A
pixel counts as the class where the map is over its own mean over the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.models.segmentation import Segmentation


@dataclass
class MapScores:
    """Sums over images, from which figures are made.

    Attributes
    ----------
    images
        How many images.
    right, pixels
        How many pixels were on the right side of the threshold, and how many there were.
    common, either
        Pixels that map and mask, and that map or mask, have as background and as class: ``[2]``.
    precision
        Sum of the images' average precisions.
    """

    images: int = 0
    right: int = 0
    pixels: int = 0
    common: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    either: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))
    precision: float = 0.0

    def add(self, values: np.ndarray, truth: np.ndarray) -> None:
        """Count an image, by the map's values ``[pixels]`` and where the class is, bool ``[pixels]``."""
        found = values > values.mean()
        self.images += 1
        self.right += int((found == truth).sum())
        self.pixels += len(truth)
        self.common += [int((~found & ~truth).sum()), int((found & truth).sum())]
        self.either += [int((~found | ~truth).sum()), int((found | truth).sum())]
        low, high = values.min(), values.max()
        scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
        self.precision += average_precision(np.concatenate([1 - scaled, scaled]), np.concatenate([~truth, truth]))

    def __add__(self, other: MapScores) -> MapScores:
        return MapScores(
            self.images + other.images,
            self.right + other.right,
            self.pixels + other.pixels,
            self.common + other.common,
            self.either + other.either,
            self.precision + other.precision,
        )

    def figures(self) -> tuple[float, float, float]:
        """Return pixel accuracy, mean IoU and mean average precision.

        Pixels of all images are counted together for the first two: IoU is the mean of the background's and the
        class's, or that of the only one that there is. The third is a mean over images.
        """
        there = self.either > 0
        iou = (self.common[there] / self.either[there]).mean()
        return self.right / self.pixels, float(iou), self.precision / self.images


def average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean precision over the true ones in order of score, equal scores taken together.

    An image gives two scores for each pixel, one as background and one as class, which are ranked in one list.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(truth[order])[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1])


def map_of_pixels(found: Segmentation, patch: int) -> np.ndarray:
    """Enlarge a map to the pixels that the model sees, bilinearly: float64 ``[rows * patch, columns * patch]``."""
    values = torch.from_numpy(found.map).double()[None, None]
    size = [side * patch for side in found.grid]
    enlarged: np.ndarray = torch.nn.functional.interpolate(values, size, mode="bilinear", align_corners=False)[
        0, 0
    ].numpy()
    return enlarged


def mask_of_pixels(file: Path, found: Segmentation, patch: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask at the pixels that the model sees, each the nearest one of the mask.

    Returns
    -------
    mask, seen
        bool, ``[rows * patch, columns * patch]``: where the class is, and what isn't padding.

    Raises
    ------
    ClipdbError
        If the file is no picture, or hasn't the image's size.
    """
    from PIL import Image

    try:
        with Image.open(file) as picture:
            values: np.ndarray = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ClipdbError(f"{file} can't be read as a picture: {error}") from error
    if values.ndim == 3:
        values = values[..., : {2: 1, 4: 3}.get(values.shape[2], values.shape[2])].max(axis=2)  # without alpha
    if values.shape != (found.height, found.width):
        raise ClipdbError(
            f"the mask {file} has {values.shape[1]} x {values.shape[0]} pixels and its image "
            f"{found.width} x {found.height}: they must be the same"
        )
    left, top, right, bottom = found.covered
    rows, down = _nearest(top, bottom, found.grid[0] * patch, found.height)
    columns, across = _nearest(left, right, found.grid[1] * patch, found.width)
    return values[np.ix_(rows, columns)] != 0, np.outer(down, across)


def _nearest(start: float, end: float, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels in which ``count`` equal steps from start to end have their middles, and which of them exist."""
    places = np.floor(start + (np.arange(count) + 0.5) * (end - start) / count).astype(int)
    return places.clip(0, size - 1), (places >= 0) & (places < size)
