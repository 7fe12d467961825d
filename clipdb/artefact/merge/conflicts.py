"""Merge an artefact's relations into those of an index: equal rows are skipped, different ones need a choice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from clipdb.artefact.format import RELATIONS
from clipdb.artefact.merge.row_values import key_text, parsed, short
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.errors import ClipdbError
from clipdb.ingest.store.rows import put_from
from clipdb.schema import tables

Prefer = Literal["ours", "theirs"]

# Rows that mean something only together, by the columns that they share: the spans of a head, the texts of a pool, the
# effects of a set of heads in a task.
_TOGETHER = {
    "spans": ("model_id", "layer", "head", "pool"),
    "directions": ("model_id", "layer", "head", "source", "pool"),
    "pool_texts": ("pool",),
    "effects": ("model_id", "ablated", "target", "template", "mode", "mean", "tokens"),
}
# What is found over a model's images, and differs where these do.
_OF_IMAGES = ("spans", "directions", "effects")
# Models, heads and components are compared by what they are, in `clipdb.artefact.merge.same_models`.
MERGED = tuple(table for table in RELATIONS if table not in ("models", "heads", "components"))


@dataclass
class Merged:
    """How many rows of relations were added, were there already, and were put in the place of others."""

    added: int = 0
    skipped: int = 0
    replaced: int = 0


@dataclass(frozen=True)
class Decided:
    """What was decided about rows that differ.

    Attributes
    ----------
    moved
        How many images keep the path that the index has, where the artefact has another.
    spans_left_out
        Of how many heads the artefact's spans are left out because they were found over other images.
    spans_taken
        By model, of how many heads the artefact's spans take the place of the index's.
    own_spans
        Models of which the index keeps spans that it found itself, and the artefact has not.
    spanned
        Models that will have spans, whosever.
    """

    moved: int
    spans_left_out: int
    spans_taken: dict[str, int]
    own_spans: frozenset[str]
    spanned: frozenset[str]


def find_conflicts(
    connection: duckdb.DuckDBPyConnection,
    artefact: Artefact,
    index: Path,
    prefer: Prefer | None,
    other: Collection[str],
) -> Decided:
    """Compare the staged relations with the index's, and note which of theirs take the place of ours.

    Parameters
    ----------
    prefer
        Whose rows to take where they differ.
    other
        Models whose images in the artefact are not those of the index: so their spans are bound to differ.

    Raises
    ------
    ClipdbError
        Naming table and key of the first rows that differ, where nothing is preferred.
    """
    for table in MERGED:
        keys = ", ".join(_keys(table))
        connection.execute(f"create or replace temp table taken_{table} as select {keys} from {table} limit 0")
    _images_without_sources(connection)
    _runs_known_better(connection)
    moved = left_out = 0
    if prefer is None:
        moved = _images_elsewhere(connection)
        left_out, *_ = [_of_other_images(connection, table, other) for table in _OF_IMAGES]
    for table in MERGED:
        _find(connection, table)
        row = connection.execute(f"from differing_{table} order by all limit 1").fetchone()
        if row is None or prefer == "ours":
            continue
        if prefer is None:
            key = key_text(connection, row)
            raise ClipdbError(
                f"{table}: {key} is not the same in {artefact.directory} as in {index}"
                f"{_detail(connection, table, row)}: take one of them with --prefer theirs or --prefer ours"
            )
        connection.execute(f"insert into taken_{table} from differing_{table}")
    taken = "select model_id, count(distinct (layer, head)) from taken_spans group by model_id"
    own, spanned = (
        frozenset(model for (model,) in connection.execute(query).fetchall())
        for query in (_OWN_SPANS, "select model_id from spans union select model_id from their_spans")
    )
    return Decided(moved, left_out, dict(connection.execute(taken).fetchall()), own, spanned)


# Differing spans that were not taken are the index's own; those that were imported were found over no images of it.
_OWN_SPANS = """
select distinct model_id from spans left join runs using (run)
where command is distinct from 'import spans' and (model_id, layer, head, pool) not in (
    select (model_id, layer, head, pool) from their_spans anti join differing_spans using (model_id, layer, head, pool)
    union all select (model_id, layer, head, pool) from taken_spans)
"""


def merge_relations(connection: duckdb.DuckDBPyConnection, artefact: Artefact) -> Merged:
    """Write the rows that the index lacks, and those that take the place of its own, as `find_conflicts` left them."""
    merged = Merged()
    for table in MERGED:
        keys = ", ".join(_keys(table))
        total = sum(file.rows for file in artefact.manifest.of("relation", table))
        (replaced,) = _one(connection, f"select count(*) from their_{table} semi join taken_{table} using ({keys})")
        (lacking,) = _one(connection, f"select count(*) from their_{table} anti join {table} using ({keys})")
        connection.execute(
            f"create or replace temp table writing as select * from their_{table} anti join {table} using ({keys}) "
            f"union all select * from their_{table} semi join taken_{table} using ({keys})"
        )
        if table in _TOGETHER:
            connection.execute(
                f"delete from {table} using taken_{table} t where "
                + " and ".join(f"{table}.{key} = t.{key}" for key in _keys(table))
            )
        put_from(connection, table, "writing", replace=True)
        merged.added += lacking
        merged.replaced += replaced
        merged.skipped += total - lacking - replaced
    return merged


def _keys(table: str) -> tuple[str, ...]:
    return _TOGETHER.get(table) or tuple(column.name for column in tables.metadata.tables[table].primary_key)


def _find(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    keys = ", ".join(_keys(table))
    both = f"select exists (from {table}) and exists (from their_{table})"
    if not _one(connection, both)[0]:  # as in a new index: to compare them would take most of its import
        connection.execute(f"create or replace temp table differing_{table} as select {keys} from {table} limit 0")
        return
    connection.execute(
        f"create or replace temp table differing_{table} as select distinct {keys} from ("
        f"(select * from their_{table} semi join {table} using ({keys}) except select * from {table}) union all "
        f"(select * from {table} semi join their_{table} using ({keys}) except select * from their_{table}))"
        f"anti join taken_{table} using ({keys})"
    )


def _detail(connection: duckdb.DuckDBPyConnection, table: str, row: tuple[object, ...]) -> str:
    """Return in which column rows differ, where one row stands against one."""
    if table in _TOGETHER:
        return ""
    where = " and ".join(f"{key} = ?" for key in _keys(table))
    theirs, ours = (_one(connection, f"select * from {name} where {where}", row) for name in (f"their_{table}", table))
    names = [column[0] for column in connection.description or ()]
    different = [(name, one, other) for name, one, other in zip(names, theirs, ours, strict=True) if one != other]
    name, one, other = min(different, key=lambda column: column[0] == "uri")  # a path alone would be no conflict
    return f" ({name}: {short(one)}, not {short(other)})"


def _one(connection: duckdb.DuckDBPyConnection, query: str, values: tuple[object, ...] = ()) -> tuple[int, ...]:
    row = connection.execute(query, list(values)).fetchone()
    assert row is not None
    return row


def _images_without_sources(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a row that knows where its image came from stand before one that doesn't, whoever has which."""
    connection.execute(
        "delete from their_images t using images o where t.image_id = o.image_id and t.uri = '' "
        "and (o.uri <> '' or o.width is not null)"
    )
    connection.execute(
        "insert into taken_images select image_id from their_images t join images o using (image_id) "
        "where o.uri = '' and t is distinct from o"
    )


def _images_elsewhere(connection: duckdb.DuckDBPyConnection) -> int:
    """Leave each image where the index knows it, if its path is all that differs; say of how many."""
    alike = "select * exclude (uri) from their_images intersect select * exclude (uri) from images"
    return _one(
        connection,
        "update their_images set uri = o.uri from images o where their_images.image_id = o.image_id "
        f"and their_images.uri <> o.uri and o.uri <> '' and o.image_id in (select image_id from ({alike}))",
    )[0]


def _runs_known_better(connection: duckdb.DuckDBPyConnection) -> None:
    """A run's id is its own: of two accounts that differ only in how much they know, the fuller one stands."""
    query = """
        select t.run, t.arguments::varchar, o.arguments::varchar, t.finished_at, o.finished_at,
            (t.command, t.started_at) = (o.command, o.started_at) and (
                t.finished_at is null or o.finished_at is null
                or (t.versions, t.device, t.finished_at, t.added, t.skipped, t.failed) is not distinct from
                    (o.versions, o.device, o.finished_at, o.added, o.skipped, o.failed))
        from their_runs t join runs o using (run) where t is distinct from o"""
    for run, theirs, ours, finished, our_finished, alike in connection.execute(query).fetchall():
        if not alike:
            continue
        if _within(theirs, ours) and (our_finished is not None or finished is None):
            connection.execute("delete from their_runs where run = ?", [run])
        elif _within(ours, theirs) and (finished is not None or our_finished is None):
            connection.execute("insert into taken_runs values (?)", [run])


def _within(part: str | None, whole: str | None) -> bool:
    """Whether all that one says of a run's arguments the other says too."""
    one, other = (parsed(text or "{}") for text in (part, whole))
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return bool(one == other)
    return all(name in other and other[name] == value for name, value in one.items())


def _of_other_images(connection: duckdb.DuckDBPyConnection, table: str, other: Collection[str]) -> int:
    """Leave out what was found over other images than what the index has of the same; say of how much."""
    _find(connection, table)
    keys = ", ".join(_keys(table))
    connection.execute(
        f"delete from differing_{table} where model_id not in (select unnest(?::text[]))", [sorted(other)]
    )
    connection.execute(f"delete from their_{table} where ({keys}) in (from differing_{table})")
    return _one(connection, f"select count(*) from differing_{table}")[0]
