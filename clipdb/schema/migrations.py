"""How a catalog of an older schema version becomes one of this version."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from clipdb.schema import views


@dataclass(frozen=True)
class Migration:
    """A step from the schema version before to `version`.

    Views are made anew after every upgrade, so a step only says what changes in tables, and which views go.
    """

    version: int
    statements: tuple[str, ...]


# Add a step at the end, with the next number; never change one that was released.
MIGRATIONS: tuple[Migration, ...] = ()
SCHEMA_VERSION = 1 + len(MIGRATIONS)


def version(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Read a catalog's schema version: None where clipdb did not make the catalog."""
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


def upgrade(connection: duckdb.DuckDBPyConnection, steps: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a catalog to the newest schema version: the missing steps in order, then the views.

    All in one transaction: after a failure or a kill the catalog is as it was.

    Parameters
    ----------
    connection
        A catalog opened for writing, with no transaction begun.
    steps
        Every migration there is, in order of version.

    Raises
    ------
    duckdb.Error
        If a step does not go through. The catalog is as it was.
    """
    connection.begin()
    try:
        current = version(connection) or 0
        for step in steps:
            if step.version > current:
                for statement in step.statements:
                    connection.execute(statement)
        views.create(connection)
        stamp(connection, steps[-1].version if steps else SCHEMA_VERSION)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
