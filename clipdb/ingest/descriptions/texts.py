"""Ingest texts: store a pool of descriptions, and embed what a model has not embedded yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from clipdb._util.stages import LOADING, Stages, untold
from clipdb.errors import ClipdbError
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_arrays import vector_column, vector_matrix
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.pools import PoolText
from clipdb.schema.basis_matrix import in_head_space
from clipdb.schema.names import Head, head_column, text_id
from clipdb.schema.vectors import head_columns, texts_schema

if TYPE_CHECKING:
    from clipdb.models.model import Model

TEXTS_AT_ONCE = 256
TEXTS_A_COMMIT = 1024  # a minute of a large text tower on a CPU: what a kill may cost
IDS_AT_ONCE = 4096


def store_pool(writer: Writer, about: Mapping[str, Any], texts: Sequence[PoolText]) -> None:
    """Store a pool in place of the one of its name.

    Parameters
    ----------
    about
        Its row in ``pools``: pool, name, source, licence.
    texts
        Distinct descriptions in order, with the property where one is known.
    """
    rows = [{"text_id": text_id(entry.text), "text": entry.text} for entry in texts]
    members = [
        {"pool": about["pool"], "text_id": row["text_id"], "position": position, "property": entry.property}
        for position, (row, entry) in enumerate(zip(rows, texts, strict=True))
    ]
    with writer.transaction() as connection:
        put(connection, "texts", rows)
        put(connection, "pools", [about], replace=True)
        connection.execute("delete from pool_texts where pool = ?", [about["pool"]])
        put(connection, "pool_texts", members)


def pool_members(writer: Writer, pool: str) -> list[tuple[str, str]]:
    """List a pool's ``(text_id, text)`` in its order.

    Raises
    ------
    ClipdbError
        If the index has no such pool.
    """
    rows = writer.read(
        "select text_id, text from pool_texts join texts using (text_id) where pool = ? order by position",
        pool,
    )
    if not rows:
        pools = writer.read("select distinct pool from pool_texts order by pool")
        known = ", ".join(row[0] for row in pools) or "none yet"
        raise ClipdbError(
            f"no pool {pool!r} in {writer.index} (it has {known}): run `clipdb ingest texts FILE --pool {pool}`",
            kind="absent",
        )
    return [(row[0], row[1]) for row in rows]


def embed_missing(
    tables: ModelTables,
    texts: Sequence[tuple[str, str]],
    load: Callable[[], Model],
    progress: Stages = untold,
) -> None:
    """Embed the texts that a model has not embedded yet.

    Parameters
    ----------
    texts
        ``(text_id, text)``.
    load
        Loads the model; called only if a text is missing, since loading takes seconds.
    progress
        Is told of the loading and of the texts that are embedded.
    """
    writer, table = tables.writer, tables.texts
    lacking = missing_texts(table, [key for key, _ in texts])
    missing = [(key, text) for key, text in texts if key in lacking]
    writer.skipped += len(texts) - len(missing)
    if missing:
        progress(LOADING, 0, None)
        tower, bases = load().text_tower, tables.bases()
        tower.note([text for _, text in missing])
        progress("texts", 0, len(missing))
        for start in range(0, len(missing), TEXTS_A_COMMIT):
            ids, words = zip(*missing[start : start + TEXTS_A_COMMIT], strict=True)
            told = partial(_tell, progress, start, len(missing))
            embeddings = tower.embed(words, TEXTS_AT_ONCE, told)
            rows = _rows(ids, embeddings, bases)
            table.commit(rows, record=partial(_count, writer, len(ids)))
        table.compact()


def missing_texts(table: VectorTable, ids: Sequence[str]) -> set[str]:
    """Return which texts a model has not embedded yet."""
    missing = set(ids)
    for start in range(0, len(ids), IDS_AT_ONCE):
        missing -= table.known(ids[start : start + IDS_AT_ONCE])
    return missing


def _count(writer: Writer, texts: int, connection: duckdb.DuckDBPyConnection) -> None:
    writer.added += texts


def _tell(progress: Stages, before: int, total: int, done: int) -> None:
    progress("texts", before + done, total)


def refresh_text_heads(tables: ModelTables) -> None:
    """Add to texts their vectors in heads that were ingested after them; it takes their embeddings, not the model."""
    table, bases = tables.texts, tables.bases()
    if table.dataset is None or set(head_columns(table.dataset.schema)) == set(bases):
        return
    stored = table.dataset.to_table(columns=["text_id", "embedding"])
    rows = _rows(stored.column("text_id").to_pylist(), vector_matrix(stored.column("embedding")), bases)
    table.commit(rows, record=lambda connection: None, overwrite=True)
    table.compact()


def text_embeddings(table: VectorTable, ids: Sequence[str]) -> np.ndarray:
    """Read unit text embeddings in the order of some ids, float64 ``[n, D]``."""
    assert table.dataset is not None
    stored = table.dataset.to_table(columns=["text_id", "embedding"])
    place = {key: row for row, key in enumerate(stored.column("text_id").to_pylist())}
    return vector_matrix(stored.column("embedding"))[[place[key] for key in ids]].astype(np.float64)


def _rows(ids: Sequence[str], embeddings: np.ndarray, bases: Mapping[Head, np.ndarray]) -> pa.Table:
    """Lay out rows of the texts table: unit embeddings and ``Q^T t`` a head."""
    columns = {"text_id": pa.array(ids, pa.utf8()), "embedding": vector_column(embeddings, np.float32)}
    for (layer, head), basis in bases.items():
        columns[head_column(layer, head)] = vector_column(in_head_space(embeddings, basis))
    sizes = {head: basis.shape[1] for head, basis in bases.items()}
    schema = texts_schema(embeddings.shape[1], sizes)
    return pa.table(list(columns.values()), schema=pa.schema([schema.field(name) for name in columns]))
