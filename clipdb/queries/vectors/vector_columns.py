"""Columns of tables of vectors as numpy arrays, and the order of their ids."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_SHA256 = 64  # hexadecimal digits


def dense(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column of vectors as ``[n, k]``, NaN where a row has none."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    values = whole.flatten().to_numpy().reshape(-1, whole.type.list_size)
    if not whole.null_count:
        return values
    found = np.full((len(whole), whole.type.list_size), np.nan, values.dtype)
    found[np.asarray(whole.is_valid())] = values
    return found


def ascii_ids(ids: pa.ChunkedArray) -> np.ndarray:
    """Return ids as ASCII bytes ``[n]``."""
    try:
        fixed = ids.cast(pa.binary(_SHA256)).combine_chunks()
    except pa.ArrowInvalid:  # not hashes: an index that clipdb didn't make may name its images otherwise
        return np.array(ids.to_pylist(), dtype=np.bytes_)
    return np.frombuffer(fixed.buffers()[1], f"S{_SHA256}", len(fixed), _SHA256 * fixed.offset)


def ascending(ids: np.ndarray) -> np.ndarray:
    """Return the order of ids: by their first eight bytes as a number, which is quick, if that tells all apart."""
    if ids.itemsize == _SHA256:
        starts = ids.view(">u8")[:: _SHA256 // 8].astype(np.uint64)
        order = np.argsort(starts)
        if (starts[order[1:]] > starts[order[:-1]]).all():
            return order
    return np.argsort(ids, kind="stable")
