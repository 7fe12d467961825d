"""Parquet files of vectors, written as fast as vectors can be compressed.

pyarrow takes a step for each number of a list, 200 MB/s of float16; `clipdb.artefact.vector_pages` says what is done
instead.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from clipdb.artefact.export.parquet_writer import HashedFile
from clipdb.artefact.thrift import Value, i32, i64, sequence, struct, text
from clipdb.artefact.vector_pages import PLAIN, RLE, ZSTD, full_levels, list_levels, page_header, page_rows

_MAGIC = b"PAR1"
_LEVEL = 1  # of zstd
# Of parquet.thrift: FieldRepetitionType.
_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
# Fields of its SchemaElement: of values 1, their type, 2, their length, 6 and 10, what they mean; of lists 5, children.
_VALUES = {
    pa.utf8(): {1: i32(6), 6: i32(0), 10: struct({1: struct({})})},
    pa.float32(): {1: i32(4)},
    pa.float16(): {1: i32(7), 2: i32(2), 10: struct({15: struct({})})},
}
_LIST = {5: i32(1), 6: i32(3), 10: struct({3: struct({})})}


def write_vector_file(file: HashedFile, schema: pa.Schema, groups: Iterable[pa.Table]) -> HashedFile:
    """Write tables of texts, float32 and vectors that is what `clipdb.artefact.columns.vectors_schema` lays out.

    Parameters
    ----------
    file
        Where to; it is left open, for the caller to finish.
    schema
        Columns of every table. No number within a vector is null, nor any text or number.
    groups
        The rows, a row group each, every column in one piece.

    Returns
    -------
    HashedFile
        The same.
    """
    codec = pa.Codec("zstd", _LEVEL)
    file.write(_MAGIC)
    row_groups = []
    for group in groups:
        columns, sizes = zip(*(_chunk(file, codec, field, group[field.name].chunk(0)) for field in schema), strict=True)
        row_groups.append(struct({1: sequence(columns), 2: i64(sum(sizes)), 3: i64(len(group))}))
        file.rows += len(group)
    root = struct({4: text("schema"), 5: i32(len(schema))})
    kept = {**(schema.metadata or {}), b"ARROW:schema": base64.b64encode(schema.serialize())}
    footer = struct(
        {
            1: i32(2),
            2: sequence([root, *(element for field in schema for element in _layout(field))]),
            3: i64(file.rows),
            4: sequence(row_groups),
            5: sequence([struct({1: text(key), 2: text(value)}) for key, value in kept.items()]),
            6: text("clipdb"),
        }
    ).data
    file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
    return file


def _chunk(file: HashedFile, codec: pa.Codec, field: pa.Field, column: pa.Array) -> tuple[Value, int]:
    """Write the pages of a column of a row group; say what was written, and its bytes before compression."""
    start, values, unpacked = file.bytes, 0, 0
    rows = page_rows(field.type)
    for first in range(0, len(column), rows):
        count, body = _page(field, column.slice(first, rows))
        packed = codec.compress(body)
        header = page_header(count, len(body)).with_length(packed.size)
        file.write(header)
        file.write(packed)
        values += count
        unpacked += len(header) + len(body)
    is_list = pa.types.is_fixed_size_list(field.type)
    meta = {
        1: _VALUES[field.type.value_type if is_list else field.type][1],
        2: sequence([i32(PLAIN), i32(RLE)]),
        3: sequence([text(name) for name in ((field.name, "list", "element") if is_list else (field.name,))]),
        4: i32(ZSTD),
        5: i64(values),
        6: i64(unpacked),
        7: i64(file.bytes - start),
        9: i64(start),
    }
    return struct({2: i64(0), 3: struct(meta)}), unpacked


def _page(field: pa.Field, column: pa.Array) -> tuple[int, bytes]:
    """Give the number of levels of a page, and the page: repetition levels, definition levels, values."""
    if pa.types.is_string(field.type):
        texts = [one.encode() for one in column.to_pylist()]
        return len(column), b"".join(len(one).to_bytes(4, "little") + one for one in texts)
    if not pa.types.is_fixed_size_list(field.type):
        return len(column), column.to_numpy().tobytes()
    size = field.type.list_size
    if column.null_count:
        count, levels = list_levels(np.asarray(column.is_valid()), size, field.nullable)
    else:
        count, levels = full_levels(len(column), size, field.nullable)
    return count, b"".join((levels, column.flatten().to_numpy()))  # which leaves out the numbers of null lists


def _layout(field: pa.Field) -> list[Value]:
    """Describe a column: a value, or a list, which is three levels deep."""
    named = {3: i32(_OPTIONAL if field.nullable else _REQUIRED), 4: text(field.name)}
    if not pa.types.is_fixed_size_list(field.type):
        return [struct(named | _VALUES[field.type])]
    return [
        struct(named | _LIST),
        struct({3: i32(_REPEATED), 4: text("list"), 5: i32(1)}),
        struct({3: i32(_REQUIRED), 4: text("element")} | _VALUES[field.type.value_type]),
    ]
