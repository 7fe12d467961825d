"""Pictures of any shape as patches, the input of SigLIP 2's NaFlex models (Tschannen et al., arXiv 2502.14786, 2.4.2).

A picture keeps its shape, up to whole patches, and becomes so large that at most N patches cover it. Rows that are left
over are padding. All pictures are then arrays of one size, with a mark at the end of each patch that says what it is:
the model's mask and the picture's grid are read off the marks.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from PIL import Image

PADDING, PATCH, ROW_BEGINS = 0, 1, 2
"""Marks: no patch, a patch, and a patch that is the first of its row."""

_SMALLEST, _LARGEST, _CLOSE = 1e-5 / 10, 100.0, 1e-5  # scales that are tried, and when two are the same


def patch_grid(width: int, height: int, patch_size: int, most: int) -> tuple[int, int]:
    """Find how many rows and columns of patches a picture becomes, as transformers' processor does.

    Parameters
    ----------
    width, height
        Of the upright picture, pixels.
    patch_size
        Side of a patch, pixels.
    most
        Most patches there may be, N.

    Returns
    -------
    tuple
        Rows and columns at the largest scale at which both, rounded up, make no more than N patches. A picture grows
        at most a hundredfold.
    """

    def at(scale: float) -> tuple[int, int]:
        rows, columns = (max(1, ceil(side * scale / patch_size)) for side in (height, width))
        return rows, columns

    low, high = _SMALLEST, _LARGEST
    while high - low >= _CLOSE:
        middle = (low + high) / 2
        rows, columns = at(middle)
        low, high = (middle, high) if rows * columns <= most else (low, middle)
    return at(low)


def to_patches(image: Image.Image, patch_size: int, most: int) -> np.ndarray:
    """Cut an RGB picture whose sides are whole patches.

    Returns
    -------
    numpy.ndarray
        uint8 ``[N, 3 p^2 + 1]``: of each patch the pixels row by row, their channels together, and its mark.
    """
    columns, rows = image.width // patch_size, image.height // patch_size
    pixels = np.asarray(image).reshape(rows, patch_size, columns, patch_size, 3).swapaxes(1, 2)
    found = np.full((most, 3 * patch_size**2 + 1), PADDING, np.uint8)
    found[: rows * columns, :-1] = pixels.reshape(rows * columns, -1)
    found[: rows * columns, -1] = PATCH
    found[: rows * columns : columns, -1] = ROW_BEGINS
    return found
