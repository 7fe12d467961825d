"""The Lance tables of an index: their columns, and where they lie. Needs pyarrow, not Lance."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from clipdb.errors import ClipdbError
from clipdb.schema.names import MLP, POOL, REST, TRUNK, VECTORS, Head, head_column, vectors_file
from clipdb.schema.vectors_place import VectorsPlace, vectors_place
from clipdb.stores.address import StoreAddress
from clipdb.stores.failures import explained, is_of_lance

# Lance refuses to insert one id twice from concurrent merges only where the field says that it is the key.
_PRIMARY_KEY = {"lance-schema:unenforced-primary-key": "true"}
_PART_COLUMN = re.compile(r"(?:l(?P<layer>\d+)|(?P<pool>p))(?:h(?P<head>\d+)|mlp)|(?P<of_pool>p?)rest")
# How pyarrow passes on what Lance says, which ends with a place in Lance's own source.
_LANCE_ERROR = re.compile(r"External error: (?P<reason>.+?)(?:, \S+\.rs:\d+:\d+)?$", re.MULTILINE)


# What each column means, and what a head column means in the table of this key.
COMMENTS = {
    "image_id": "Hex SHA-256 of the file's bytes (images.image_id)",
    "text_id": "Hex SHA-256 of the text in UTF-8 (texts.text_id)",
    "embedding": "Embedding in the joint space, shape [D], unit length; W t of any length where aligners has a W",
    "norm": "Length of the image embedding before it was normalised",
    "_run": "Run that wrote the row (runs.run)",
    "_batch": "Batch within the run (batches.batch)",
}
HEAD_COMMENTS = {
    "image_id": "Vector y of head L11.H3, shape [k]: Q y is its contribution as a fraction of norm, with Q "
    "from heads.basis; null where the image has not been through this head",
    "text_id": "Q^T t, the text embedding in the space of head L11.H3, shape [k]: its inner product with y "
    "is the head's share of the cosine; null where it was not computed",
}
COMPONENT_COMMENT = (
    "Vector y of {name}, which is no head, shape [size]: Q y is its contribution as a fraction of norm, with Q from "
    "components.basis; null where the image has not been through it"
)


def vectors_path(index: Path) -> Path:
    """Return the LanceDB database of an index: ``INDEX/vectors``."""
    return index / VECTORS


def images_path(index: Path, model_id: str) -> Path:
    """Return the Lance table of a model's image vectors: ``INDEX/vectors/MODEL_SLUG.images.lance``."""
    return vectors_path(index) / vectors_file(model_id, "images")


def texts_path(index: Path, model_id: str) -> Path:
    """Return the Lance table of a model's text vectors: ``INDEX/vectors/MODEL_SLUG.texts.lance``."""
    return vectors_path(index) / vectors_file(model_id, "texts")


def unreadable_vectors(index: Path, place: VectorsPlace, error: BaseException) -> ClipdbError | None:
    """Return, in one line, what is wrong with the vectors of an index, if an error comes from reading them.

    Parameters
    ----------
    index
        Directory of the index.
    place
        The folder of its vectors.
    error
        What was raised.
    """
    if isinstance(place, StoreAddress):
        return explained(place, error) if is_of_lance(error) else None
    found = _LANCE_ERROR.search(str(error))
    if found is None or "no space left" in found["reason"].lower():
        return None
    return ClipdbError(
        f"the vectors of {index} are damaged ({found['reason']}): restore it from a copy, or ingest into a new index"
    )


@contextmanager
def reading_vectors(index: Path, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Say in one line what is wrong with the vectors that a block can't read.

    Raises
    ------
    ClipdbError
        If they are damaged, or the store that they are in fails.
    """
    try:
        yield
    except Exception as error:
        if damaged := unreadable_vectors(index, vectors_place(index, connection), error):
            raise damaged from error
        raise


def images_schema(embed_dim: int, head_dims: Mapping[tuple[int, int], int]) -> pa.Schema:
    """Lay out a model's image vectors: one row per image, one column per head.

    Parameters
    ----------
    embed_dim
        Size of the joint embedding, D.
    head_dims
        ``{(layer, head): size}``, the size of each head's vectors, and those of parts that are no head. Columns are in
        order of layer, then head.

    Returns
    -------
    pyarrow.Schema
        ``image_id``, ``embedding`` float16 [D], ``norm`` float32, ``_run``, ``_batch``, then a column
        ``l11h3`` (``ph3`` of the pooling; ``l11mlp``, ``pmlp``, ``rest``, ``prest`` of what is no head) float16 [size]
        each, float32 of the last two, which may be null. `COMMENTS`, `HEAD_COMMENTS` and `COMPONENT_COMMENT` say what
        they mean.
    """
    return pa.schema(
        [
            _key("image_id"),
            pa.field("embedding", pa.list_(pa.float16(), embed_dim), nullable=False),
            pa.field("norm", pa.float32(), nullable=False),
            *_batch(),
            *_heads(head_dims),
        ]
    )


def texts_schema(embed_dim: int, head_dims: Mapping[tuple[int, int], int]) -> pa.Schema:
    """Lay out a model's text vectors: one row per text, one column per head.

    Parameters
    ----------
    embed_dim
        Size of the joint embedding, D.
    head_dims
        ``{(layer, head): size}``, the size of each head's vectors. Columns are in order of layer, then head.

    Returns
    -------
    pyarrow.Schema
        ``text_id``, ``embedding`` float32 [D], ``_run``, ``_batch``, then a column ``l11h3`` float16 [size] a
        head, which may be null. `COMMENTS` and `HEAD_COMMENTS` say what they mean.
    """
    return pa.schema(
        [
            _key("text_id"),
            pa.field("embedding", pa.list_(pa.float32(), embed_dim), nullable=False),
            *_batch(),
            *_heads(head_dims),
        ]
    )


def part_columns(schema: pa.Schema) -> dict[Head, str]:
    """Find the columns of a Lance table that hold parts of the embedding: those of heads, MLPs and what is left.

    Returns
    -------
    dict
        ``{(layer, head): column name}``, in order of layer, then head; `clipdb.schema.names.MLP` and ``REST`` stand in
        the place of a head.
    """
    return dict(sorted((part, name) for name in schema.names if (part := _part(name)) is not None))


def head_columns(schema: pa.Schema) -> dict[Head, str]:
    """Find the head columns of a Lance table: those of `part_columns` that are of heads."""
    return {part: name for part, name in part_columns(schema).items() if part[1] >= 0}


def component_columns(schema: pa.Schema) -> dict[Head, str]:
    """Find the columns of what is no head: the others of `part_columns`."""
    return {part: name for part, name in part_columns(schema).items() if part[1] < 0}


def part_dims(schema: pa.Schema) -> dict[Head, int]:
    """Read back the size of each part's vectors: ``{(layer, head): size}``, in order of layer, then head."""
    return {part: schema.field(name).type.list_size for part, name in part_columns(schema).items()}


def _part(column: str) -> Head | None:
    """Read the name of a column as a part of the embedding; None if it is of something else."""
    match = _PART_COLUMN.fullmatch(column)
    if match is None:
        return None
    if match["of_pool"] is not None:
        return POOL if match["of_pool"] else TRUNK, REST
    return POOL if match["pool"] else int(match["layer"]), MLP if match["head"] is None else int(match["head"])


def embed_dim(schema: pa.Schema) -> int:
    """Read back the size of the joint embedding, D."""
    size: int = schema.field("embedding").type.list_size
    return size


def _key(name: str) -> pa.Field:
    return pa.field(name, pa.utf8(), nullable=False, metadata=_PRIMARY_KEY)


def _batch() -> list[pa.Field]:
    return [pa.field("_run", pa.utf8(), nullable=False), pa.field("_batch", pa.int32(), nullable=False)]


def _heads(sizes: Mapping[tuple[int, int], int]) -> list[pa.Field]:
    return [
        # A few numbers may stand for much of the embedding, and their rounding is not spread over many directions.
        pa.field(head_column(layer, head), pa.list_(pa.float32() if head == REST else pa.float16(), size))
        for (layer, head), size in sorted(sizes.items())
    ]
