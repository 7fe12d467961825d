"""Are two columns of vectors the same, but for how they were rounded?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from clipdb.ingest.store.vector_arrays import vector_matrix

# How far two vectors of the same image may lie apart, against their length: each component was rounded to float16 once
# or, in another basis, twice (2^-11 each time), and computed in float32 on different machines.
_SAME, _SAME_FLOOR = 2e-3, 1e-5


def valid(column: pa.Array) -> np.ndarray:
    """Return which rows are not null ``[n]``."""
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def apart(one: pa.Array, other: pa.Array) -> np.ndarray:
    """Return which rows that neither side lacks differ by more than rounding."""
    both = valid(one) & valid(other)
    if not pa.types.is_fixed_size_list(one.type):
        a, b = one.to_numpy()[:, None], other.to_numpy()[:, None]
    else:
        at = pa.array(np.flatnonzero(both))
        a, b = (vector_matrix(column.take(at)).astype(np.float32) for column in (one, other))
    lengths = np.maximum(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    found = np.zeros(len(both), bool)
    found[both] = np.linalg.norm(a - b, axis=1) > _SAME * lengths + _SAME_FLOOR
    return found
