"""Import spans and names of heads that others published, beside one's own or into an index without model and images.

Heads appear as they are named, without vectors; an ingest of their model's images gives them some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from clipdb import pools
from clipdb._util.text import quoted
from clipdb.errors import ClipdbError
from clipdb.ingest.names.head_file import Row, check_heads, put_heads
from clipdb.ingest.names.published.published_file import Published, read_labels, read_spans
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.schema import catalog
from clipdb.schema.connections import closing
from clipdb.schema.names import is_name


@dataclass(frozen=True)
class Imported:
    """What came of a file.

    Attributes
    ----------
    added, skipped
        Rows that were written, and rows that the index had.
    heads, models
        How many heads the file has, and of which models.
    ignored
        Columns of the file that were not read.
    """

    added: int
    skipped: int
    heads: int
    models: list[str]
    ignored: list[str]


@dataclass(frozen=True)
class _Kind:
    """How one kind of file is read, which of its rows the index lacks (the table ``changed``), and how they go in."""

    read: Callable[[Path, str | None], Published]
    changed: str
    insert: str


_KINDS = {
    # All spans of the models whose spans from this source are others than the file's.
    "spans": _Kind(
        read_spans,
        """
        with file as (
            select model_id, layer, head, rank, text_id, variance_explained from published
        ),
        stored as (
            select model_id, layer, head, rank, text_id, variance_explained from spans
            where pool = getvariable('source') and model_id in (select model_id from file)
        )
        from published
        where model_id in (select model_id from ((from file except from stored) union (from stored except from file)))
        """,
        # The pool is the texts of its spans of all models, in the order in which they came.
        """
        insert or ignore into texts by name select distinct text_id, text from changed;
        delete from spans where pool = getvariable('source') and model_id in (select model_id from changed);
        insert into spans by name select * exclude place, getvariable('source') as pool from changed;
        delete from pool_texts
        where pool = getvariable('source')
            and text_id not in (select text_id from spans where pool = getvariable('source'));
        insert into pool_texts by name
        with members as (select text_id, position from pool_texts where pool = getvariable('source'))
        select
            getvariable('source') as pool, text_id,
            row_number() over (order by min(place)) + (select coalesce(max(position), -1) from members) as position
        from changed anti join members using (text_id)
        group by text_id
        """,
    ),
    # Names that are not the last ones from this source.
    "labels": _Kind(
        read_labels,
        """
        from published anti join (
            from labels
            where pool = getvariable('source') and labeller = 'import:' || getvariable('source')
            qualify row_number() over (partition by model_id, layer, head order by run desc) = 1
        ) as newest
            on published.model_id = newest.model_id and published.layer = newest.layer and published.head = newest.head
            and published.property = newest.property
            and published.confidence is not distinct from newest.confidence
            and published.rationale is not distinct from newest.rationale
        """,
        """
        insert into labels by name
        select
            * exclude place, getvariable('source') as pool, 'import:' || getvariable('source') as labeller,
            'ok' as status, now() as created_at
        from changed
        """,
    ),
}


def import_published(
    index: Path, kind: Literal["spans", "labels"], file: Path, source: str, model_id: str | None = None
) -> Imported:
    """Import a file of published spans, or of published names of heads.

    Spans become spans from the pool ``source``: those of a model are replaced, in one transaction, where the file has
    others. Names become labels by ``import:SOURCE``: one that is not the last from this source is a new row, and counts
    from then on. Nothing at all is written where the index has what the file says.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    kind
        What the file holds.
    file, model_id
        As `read_spans` and `read_labels` take them.
    source
        Where the data come from, as a short name.

    Raises
    ------
    ClipdbError
        If the file is not as it should be, ``source`` is a pool of another kind, or a head is none of its model's;
        nothing is written then.
    """
    if not is_name(source):
        raise ClipdbError(f"{quoted(source)} isn't a valid name: give the source a short one with --source NAME")
    if source in pools.shipped():
        raise ClipdbError(f"{source} is a pool that ships with clipdb: choose another name for --source")
    how = _KINDS[kind]
    published = how.read(file, model_id)
    keys = {(row["model_id"], row["layer"], row["head"]) for row in published.rows}
    about = (len(keys), sorted({model for model, *_ in keys}), published.ignored)
    if catalog.exists(index):
        with closing(catalog.connect(index)) as connection:
            _check_source(connection, index, source)
            check_heads(connection, file, keys)
            if not _find_changed(connection, how, source, published.rows):
                return Imported(0, len(published.rows), *about)
    arguments = {"file": str(file), "source": source, "model": model_id}
    with Writer(index, f"import {kind}", arguments, create=True) as writer, writer.transaction() as connection:
        _check_source(connection, index, source)
        check_heads(connection, file, keys)
        rows = [row | {"run": writer.run} for row in published.rows]
        writer.added = _find_changed(connection, how, source, rows)
        writer.skipped = len(rows) - writer.added
        pool = {"pool": source, "name": source, "source": f"imported from {file.name}"}
        put(connection, "pools", [pool], replace=kind == "spans")
        put_heads(connection, keys)
        connection.execute(how.insert)
        return Imported(writer.added, writer.skipped, *about)


def _find_changed(connection: duckdb.DuckDBPyConnection, how: _Kind, source: str, rows: Sequence[Row]) -> int:
    """Put the rows that the index lacks into the temporary table ``changed``; return how many they are."""
    placed = [row | {"place": place} for place, row in enumerate(rows)]
    connection.execute("set variable source = ?", [source])
    connection.register("published", pa.Table.from_pylist(placed))
    counted = connection.execute(f"create or replace temp table changed as {how.changed}").fetchall()
    connection.unregister("published")
    return int(counted[0][0])


def _check_source(connection: duckdb.DuckDBPyConnection, index: Path, source: str) -> None:
    """Check that the source is no other pool."""
    other = connection.execute(
        "from pools where pool = $source "
        "and not exists (from labels where labeller = 'import:' || $source) "
        "and not exists (from spans join runs using (run) where pool = $source and command = 'import spans')",
        {"source": source},
    ).fetchall()
    if other:
        raise ClipdbError(f"{source} is a pool of {index} that was not imported: choose another name for --source")
