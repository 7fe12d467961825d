"""How a catalog of an older schema version becomes one of this version: written anew, beside it, and renamed.

So the file is as small as what it holds, whatever has been replaced in it, and until the rename nothing has changed.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Migration:
    """A step from the schema version before to `version`.

    Attributes
    ----------
    tables
        ``{table: select}``: what each table that changes holds from this version on, as SQL over the tables of the
        version before. Columns that a table of today has and the select lacks are null; tables that no step names keep
        their rows, new ones are empty.
    """

    version: int
    tables: dict[str, str]


# Add a step at the end, with the next number; never change one that was released.
MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        2,
        {
            "bases": "select model_id, layer, head, basis from heads where basis is not null",
            "head_statistics": "select model_id, layer, head, mean, total_variance, effective_rank from heads",
        },
    ),
    Migration(3, {}),  # models.base, and head_pairs
    Migration(
        4,
        {
            "bases": "select model_id, layer, head, basis, len(basis) // embed_dim as size "
            "from bases join models using (model_id)"
        },
    ),
    Migration(5, {}),  # components, whose rows are no heads, and aligners
    Migration(6, {}),  # bases.tail, bases.written, models.storage_error, and pairs
    Migration(7, {}),  # effects
    Migration(8, {}),  # directions
    Migration(9, {}),  # spans.stability
    Migration(10, {}),  # property_indexes, property_index_parts
)
SCHEMA_VERSION = 1 + len(MIGRATIONS)


def version(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Read a catalog's schema version: None if clipdb did not make the catalog."""
    try:
        row = connection.execute("select max(version) from clipdb_schema").fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


def stamp(connection: duckdb.DuckDBPyConnection, reached: int) -> None:
    """Record that a catalog is now of a schema version."""
    from importlib.metadata import version as installed_version

    connection.execute(
        "insert into clipdb_schema (version, clipdb_version, upgraded_at) values (?, ?, ?)",
        [reached, installed_version("clipdb"), datetime.datetime.now(datetime.UTC)],
    )


def make(connection: duckdb.DuckDBPyConnection) -> None:
    """Make every table, view and macro of this version in an empty catalog."""
    from clipdb.schema.ddl import ddl

    for statement in ddl():
        connection.execute(statement)
    from clipdb.schema import views

    views.create(connection)


def fill(
    connection: duckdb.DuckDBPyConnection, old: str, current: int, steps: Sequence[Migration] = MIGRATIONS
) -> None:
    """Fill an empty catalog of this version with the rows of an older one.

    Parameters
    ----------
    connection
        The new catalog, made by `make`.
    old
        Name under which the older catalog is attached.
    current
        Its schema version.
    steps
        Every migration there is, in order of version.

    Raises
    ------
    duckdb.Error
        If a step doesn't go through, or rows don't fit.
    """
    from clipdb.schema import tables  # SQLAlchemy takes longer to import than most questions

    names = "select table_name from duckdb_tables() where database_name = ?"
    rows = {name: f"from {old}.main.{name}" for (name,) in connection.execute(names, [old]).fetchall()}
    for step in (step for step in steps if step.version > current):
        before = ", ".join(f"{name} as ({select})" for name, select in rows.items())
        rows |= {name: f"with {before} {select}" for name, select in step.tables.items()}
    for table in tables.metadata.tables.values():
        if table.name in rows and table.info["view"] is None:
            held = {row[0] for row in connection.execute(f"describe ({rows[table.name]})").fetchall()}
            columns = ", ".join(column.name for column in table.columns if column.name in held)
            connection.execute(f"insert into {table.name} by name select {columns} from ({rows[table.name]})")
    stamp(connection, steps[-1].version)
