"""Vectors in two bits for each number, and estimates of inner products with them.

RaBitQ (arXiv 2405.12497) does so with one bit. So few bits only serve where a vector is spread over all its numbers:
an orthogonal matrix turns everything first.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# The four levels that are nearest to normal numbers, by variance 1 (Max, IRE Trans. Inf. Theory 6, 1960), and between
# which the second and third change into the fourth and first.
_LEVELS = np.array([-1.5104, -0.4528, 0.4528, 1.5104], np.float32)
_BORDER = np.float32(0.9816)
_IN_BYTE = 4
_PLACES = np.array([64, 16, 4, 1], np.uint8)
_OF_BYTE = _LEVELS[np.arange(256)[:, None] // _PLACES % 4]  # the levels that a byte stands for, [256, 4]


@lru_cache(maxsize=4)
def turn(size: int) -> np.ndarray:
    """Return the orthogonal matrix that vectors are turned by, float32 ``[size, size]``.

    It is signs and Hartley's transform, twice: once would leave what has few numbers as a smooth curve, whose codes err
    all in one direction.
    """
    number = np.arange(size)
    angles = 2 * np.pi * (np.outer(number, number) % size) / size
    signs = np.random.RandomState(0).choice([-1.0, 1.0], (2, size, 1))  # whose numbers NumPy never changes
    once, again = signs * (np.cos(angles) + np.sin(angles)) / size**0.5
    found = (once @ again).astype(np.float32)
    found.setflags(write=False)
    return found


def encoded(units: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the codes, scales and offsets of turned unit vectors ``[m, embed_dim]`` about their parts' centres."""
    rests = units - centres
    squares = np.einsum("md,md->m", rests, rests)
    border = _BORDER * np.sqrt(squares / np.float32(rests.shape[1]))[:, None]
    digits = sum((rests > one).view(np.uint8) for one in (-border, 0, border))
    along = np.einsum("md,md->m", rests, _LEVELS[digits])
    codes = _filled(digits).reshape(len(rests), -1, _IN_BYTE) @ _PLACES
    return codes, squares / np.where(along > 0, along, 1), np.einsum("md,md->m", rests, centres)


def products(codes: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the inner products of what codes ``[m, bytes]`` stand for with a turned vector: float32 ``[m]``."""
    sums = _filled(vector).reshape(-1, _IN_BYTE) @ _OF_BYTE.T  # for each place, of each byte that may be there
    found: np.ndarray = sums[np.arange(len(sums)), codes].sum(axis=1)
    return found


def code_bytes(size: int) -> int:
    """Return how many bytes the codes of vectors of so many numbers take."""
    return -(-size // _IN_BYTE)


def _filled(numbers: np.ndarray) -> np.ndarray:
    """Append zeros to the last axis until it fills bytes."""
    lacking = -numbers.shape[-1] % _IN_BYTE
    return np.pad(numbers, [(0, 0)] * (numbers.ndim - 1) + [(0, lacking)]) if lacking else numbers
