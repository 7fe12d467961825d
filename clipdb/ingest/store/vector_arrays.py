"""Numpy matrices as Arrow columns of vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def vector_column(matrix: np.ndarray, dtype: type[np.floating] = np.float16) -> pa.FixedSizeListArray:
    """Turn ``[n, k]`` into a column of n vectors of a number type."""
    flat = np.ascontiguousarray(matrix, dtype=dtype).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), matrix.shape[1])


def vector_matrix(column: pa.ChunkedArray | pa.FixedSizeListArray) -> np.ndarray:
    """Turn a column of vectors into ``[n, k]``; nulls are left out."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.flatten().to_numpy().reshape(-1, array.type.list_size)
