"""Matrices that are kept in float16 and read as float32: half the room, for less than twice the time of a product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from clipdb._util.half_floats import BIAS, blocks_of, finite, moved, widened_finite
from clipdb._util.row_threads import on_threads

_FEW = 8192  # numbers that BLAS multiplies in the thread that asks: its own threads would wait for each other


class Halves:
    """A matrix ``[n, k]`` of float16 that is indexed and multiplied as if it were the same numbers in float32.

    Parameters
    ----------
    values
        Float16 ``[n, k]``; it isn't copied.
    """

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        self.shape = values.shape
        self.nbytes = values.nbytes
        self._finite = finite(values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some of it in float32."""
        return self._widen(self._values[rows])

    def __matmul__(self, other: np.ndarray) -> np.ndarray:
        """Multiply it with ``[k]`` or ``[k, m]``, float32."""
        found = np.empty((len(self), *other.shape[1:]), np.float32)
        if other.ndim == 1:
            each_block([self], lambda some, values: product(next(values), other, found[some]))
        else:
            each_block([self], lambda some, values: np.matmul(next(values), other, out=found[some]), threads=False)
        return found

    def near_products(self, other: np.ndarray) -> np.ndarray:
        """Multiply finite numbers with ``[k]`` of length 1, quicker, where the last bits of a product don't matter."""
        found, width = np.empty(len(self), np.float32), self.shape[1]
        scaled, few = other * BIAS, max(1, _FEW // width)

        def some_blocks(rows: slice) -> None:
            room = np.empty((0, width), np.float32)
            for some in blocks_of(rows, width):
                room = room if len(room) else np.empty((some.stop - some.start, width), np.float32)
                wide, products = room[: some.stop - some.start], found[some]
                moved(self._values[some], wide)
                whole = len(wide) // few * few
                np.matmul(wide[:whole].reshape(-1, few, width), scaled, out=products[:whole].reshape(-1, few))
                np.matmul(wide[whole:], scaled, out=products[whole:])

        on_threads(len(self), some_blocks)
        return found

    def put(self, rows: slice, out: np.ndarray) -> None:
        """Put some rows in float32 into a matrix ``[len(rows), k]``."""
        if self._finite:
            widened_finite(self._values[rows], out)
        else:
            out[...] = self._values[rows]

    def _widen(self, values: np.ndarray) -> np.ndarray:
        return widened_finite(values) if self._finite else np.asarray(values, np.float32)


Matrix = np.ndarray | Halves
"""Vectors of all images or texts, which count as float32 ``[n, k]``."""


def product(values: np.ndarray, other: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Multiply ``[n, k]`` with ``[k]`` without BLAS, whose threads would wait for each other in threads of our own."""
    return np.einsum("nk,k->n", values, other, out=out)


def each_block(
    matrices: Sequence[Matrix], work: Callable[[slice, Iterator[np.ndarray]], object], threads: bool = True
) -> None:
    """Call a function with a block of rows after the other, on several threads where there are many rows.

    Nothing is widened but the block at hand, and into memory that each thread uses again and again: to have new memory
    for every block takes longer than a product with it.

    Parameters
    ----------
    matrices
        Of the same n rows.
    work
        Takes which rows, and these of one matrix after the other in float32: each is there until the next one is
        asked for, and may not be changed.
    threads
        Say False for products of two matrices: BLAS has threads of its own.
    """

    widest = max(matrix.shape[1] for matrix in matrices)

    def some_blocks(rows: slice) -> None:
        rooms: dict[int, np.ndarray] = {}
        for some in blocks_of(rows, widest):
            work(some, (_wide(matrix, some, rooms) for matrix in matrices))

    if threads:
        on_threads(len(matrices[0]), some_blocks)
    else:
        some_blocks(slice(0, len(matrices[0])))


def _wide(matrix: Matrix, rows: slice, rooms: dict[int, np.ndarray]) -> np.ndarray:
    """Return some rows in float32: in a room for matrices of this width, which a processor's cache holds."""
    if not isinstance(matrix, Halves):
        return matrix[rows]
    count, width = rows.stop - rows.start, matrix.shape[1]
    if width not in rooms:  # the first block is the largest
        rooms[width] = np.empty((count, width), np.float32)
    room = rooms[width][:count]
    matrix.put(rows, room)
    return room
