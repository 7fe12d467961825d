"""The columns of an artefact's Parquet files, with their comments: what `clipdb.schema.tables` says, in Arrow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
from sqlalchemy import ARRAY, JSON, REAL, TIMESTAMP, BigInteger, Boolean, Double, Integer, Text

from clipdb.artefact.format import GROUP_ROWS, VectorKind
from clipdb.schema import tables, vectors
from clipdb.schema.names import head_name

DESCRIPTION = "description"
_GROUP_BYTES = 64 * 2**20

# BigInteger is an Integer to isinstance, so it comes first.
_TYPES: tuple[tuple[type[Any], pa.DataType], ...] = (
    (BigInteger, pa.int64()),
    (Integer, pa.int32()),
    (REAL, pa.float32()),
    (Double, pa.float64()),
    (Boolean, pa.bool_()),
    (Text, pa.utf8()),
    (JSON, pa.json_()),
    (TIMESTAMP, pa.timestamp("us", "UTC")),
)
_TABLE_COMMENTS = {
    "images": "What each head writes into a model's embedding of an image: one row per image, one column per head.",
    "texts": "A model's embedding of a text, and in the space of each head: one row per text, one column per head.",
}


def relation_schema(table: str, without: Collection[str] = ()) -> pa.Schema:
    """Return the columns of a relation's file.

    Parameters
    ----------
    table
        Name of a table of `clipdb.schema.tables`.
    without
        Columns to leave out.

    Returns
    -------
    pyarrow.Schema
        Its columns in order; the comment of each is its field's metadata ``description``, and the table's the
        schema's. Key columns and others that are never null are not nullable.
    """
    relation = tables.metadata.tables[table]
    return pa.schema(
        [
            pa.field(column.name, _arrow(column.type), bool(column.nullable), _described(column.comment or ""))
            for column in relation.columns
            if column.name not in without
        ],
        metadata=_described(relation.comment or ""),
    )


def vectors_schema(kind: VectorKind, embed_dim: int, head_dims: Mapping[tuple[int, int], int]) -> pa.Schema:
    """Return the columns of the files of a model's vectors.

    Parameters
    ----------
    kind
        Of images or of texts.
    embed_dim
        Size of the joint embedding, D.
    head_dims
        ``{(layer, head): size}``, the size of the vectors of each head and other component.

    Returns
    -------
    pyarrow.Schema
        Those of the Lance table without its book-keeping, ``_run`` and ``_batch``: the id, ``embedding`` [D] (float16
        of images, float32 of texts), ``norm`` of images, then a column ``l11h3`` float16 [size] a head, which may be
        null. No number within a vector is null.
    """
    layout = {"images": vectors.images_schema, "texts": vectors.texts_schema}[kind](embed_dim, head_dims)
    comments = vectors.COMMENTS | {
        name: vectors.HEAD_COMMENTS[layout.names[0]].replace("L11.H3", head_name(*head))
        for head, name in vectors.head_columns(layout).items()
    }
    comments |= {
        name: vectors.COMPONENT_COMMENT.format(name=head_name(*part))
        for part, name in vectors.component_columns(layout).items()
    }
    fields = [
        pa.field(field.name, _filled(field.type), field.nullable, _described(comments[field.name]))
        for field in layout
        if not field.name.startswith("_")
    ]
    return pa.schema(fields, metadata=_described(_TABLE_COMMENTS[kind]))


def _arrow(kind: Any) -> pa.DataType:
    if isinstance(kind, ARRAY):
        return pa.list_(pa.field("element", _arrow(kind.item_type)))
    return next(arrow for sql, arrow in _TYPES if isinstance(kind, sql))


def _filled(kind: pa.DataType) -> pa.DataType:
    """State that no number within a vector is null; definition levels would cost more than the numbers' compression."""
    if not pa.types.is_fixed_size_list(kind):
        return kind
    return pa.list_(pa.field("element", kind.value_type, nullable=False), kind.list_size)


def _described(comment: str) -> dict[str, str]:
    return {DESCRIPTION: comment}


def group_rows(schema: pa.Schema) -> int:
    """Return how many rows of vectors go into a row group at most: a power of two, so that shards have whole ones."""
    return min(GROUP_ROWS, 2 ** max(8, (_GROUP_BYTES // row_bytes(schema)).bit_length() - 1))


def row_bytes(schema: pa.Schema) -> int:
    """Return how many bytes the vectors of a row take."""
    lists = [field.type for field in schema if pa.types.is_fixed_size_list(field.type)]
    return sum(one.list_size * one.value_type.bit_width // 8 for one in lists)
