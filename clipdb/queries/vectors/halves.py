"""Matrices that are kept in float16 and read as float32: half the room, for less than twice the time of a product."""

from __future__ import annotations

from typing import Any

import numpy as np

from clipdb._util.half_floats import blocks, finite, widened_finite


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
        for some in blocks(self._values):
            np.matmul(self[some], other, out=found[some])
        return found

    def _widen(self, values: np.ndarray) -> np.ndarray:
        return widened_finite(values) if self._finite else np.asarray(values, np.float32)


Matrix = np.ndarray | Halves
"""Vectors of all images or texts, which count as float32 ``[n, k]``."""
