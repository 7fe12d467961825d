"""Ingest texts: store a pool of descriptions, and embed what a model has not embedded yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from clipdb._util.notes import note
from clipdb._util.stages import LOADING, Stages, untold
from clipdb.errors import ClipdbError
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_arrays import vector_column, vector_matrix
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Reader, Writer
from clipdb.pools import PoolText
from clipdb.schema.aligned_texts import STORED, WITHOUT_TEXTS, no_text_tower, stored_aligner
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


def reached_by_texts(reader: Reader, chosen: Sequence[str], asked: str | None) -> list[str]:
    """Leave out, with a note, the models that no text reaches.

    Raises
    ------
    ClipdbError
        If the model that was asked for is one of them.
    """
    silent = {name for (name,) in reader.read(WITHOUT_TEXTS)}.intersection(chosen)
    for name in sorted(silent):
        problem = no_text_tower(name)
        if asked is not None:
            raise problem
        note(f"note: {name} is left out: {problem}")
    return [name for name in chosen if name not in silent]


def embed_missing(
    tables: ModelTables,
    texts: Sequence[tuple[str, str]],
    load: Callable[[str], Model],
    progress: Stages = untold,
) -> None:
    """Embed the texts that a model has not embedded yet, or have them mapped by its aligner.

    Parameters
    ----------
    texts
        ``(text_id, text)``.
    load
        Loads a model by its name; called only if a text is missing, since loading takes seconds.
    progress
        Is told of the loading and of the texts that are embedded.

    Raises
    ------
    ClipdbError
        If no text reaches the model, since it has neither a text tower nor an aligner; or the weights can't be had.
    """
    writer, table = tables.writer, tables.texts
    lacking = missing_texts(table, [key for key, _ in texts])
    missing = [(key, text) for key, text in texts if key in lacking]
    writer.skipped += len(texts) - len(missing)
    if missing:
        embed = _embedding(tables, missing, load, progress)
        bases = tables.bases()
        for start in range(0, len(missing), TEXTS_A_COMMIT):
            some = missing[start : start + TEXTS_A_COMMIT]
            embeddings = embed(some, partial(_tell, progress, start, len(missing)))
            rows = laid_out([key for key, _ in some], embeddings, bases)
            table.commit(rows, record=partial(_count, writer, len(some)))
        table.compact()


def _embedding(
    tables: ModelTables, missing: Sequence[tuple[str, str]], load: Callable[[str], Model], progress: Stages
) -> Callable[[Sequence[tuple[str, str]], Callable[[int], None]], np.ndarray]:
    """Return what embeds texts ``(text_id, text)``, and tells how many are done."""
    writer, model_id = tables.writer, tables.model_id
    if (model_id,) in writer.read(WITHOUT_TEXTS):
        raise no_text_tower(model_id)
    aligner = stored_aligner(writer.read(STORED, model_id))
    if aligner is None:
        progress(LOADING, 0, None)
        tower = load(model_id).text_tower
        tower.note([text for _, text in missing])
        progress("texts", 0, len(missing))
        return lambda some, told: tower.embed([text for _, text in some], TEXTS_AT_ONCE, told)
    writer.models(aligner.target)  # which says if the index has not its images
    target = ModelTables(writer, aligner.target)
    embed_missing(target, missing, load, progress)
    return lambda some, told: aligner(text_embeddings(target.texts, [key for key, _ in some]))


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
    rows = laid_out(stored.column("text_id").to_pylist(), vector_matrix(stored.column("embedding")), bases)
    table.commit(rows, record=lambda connection: None, overwrite=True)
    table.compact()


def text_embeddings(table: VectorTable, ids: Sequence[str]) -> np.ndarray:
    """Read text embeddings in the order of some ids, float64 ``[n, D]``: unit vectors, or what an aligner made."""
    assert table.dataset is not None
    stored = table.dataset.to_table(columns=["text_id", "embedding"])
    place = {key: row for row, key in enumerate(stored.column("text_id").to_pylist())}
    return vector_matrix(stored.column("embedding"))[[place[key] for key in ids]].astype(np.float64)


def laid_out(ids: Sequence[str], embeddings: np.ndarray, bases: Mapping[Head, np.ndarray]) -> pa.Table:
    """Lay out rows of the texts table: embeddings and ``Q^T t`` a head."""
    columns = {"text_id": pa.array(ids, pa.utf8()), "embedding": vector_column(embeddings, np.float32)}
    for (layer, head), basis in bases.items():
        columns[head_column(layer, head)] = vector_column(in_head_space(embeddings, basis))
    sizes = {head: basis.shape[1] for head, basis in bases.items()}
    schema = texts_schema(embeddings.shape[1], sizes)
    return pa.table(list(columns.values()), schema=pa.schema([schema.field(name) for name in columns]))
