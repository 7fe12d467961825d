"""Bring the catalog of an index to this schema version."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from clipdb.errors import ClipdbError
from clipdb.schema import catalog, migrations, views


def upgrade(index: Path) -> bool:
    """Write the catalog of an older index anew, as this version has it; the caller holds the index for writing.

    It is written beside its place and renamed: after a failure or a kill the index is as it was, and who has it open
    for reading goes on with what it has.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    ClipdbError
        If there is no index, another process has it open, it is of a newer schema version, or the new catalog can't be
        written.
    """
    with catalog.open_any(index, read_only=False, wait=10.0) as connection:
        current = catalog.known_version(connection, index)
        if current == migrations.SCHEMA_VERSION:
            if outdated := not views.are_current(connection):
                views.create(connection)
            return outdated
        connection.execute("checkpoint")  # a log left beside it would be replayed into the new file
    place = index / catalog.CATALOG
    building = place.with_name(f".{place.name}.upgrade")
    older = str(place).replace("'", "''")
    try:
        building.unlink(missing_ok=True)
        with duckdb.connect(str(building), config=catalog.CONFIG) as connection:
            connection.execute(f"attach '{older}' as older (read_only)")
            connection.begin()
            migrations.make(connection)
            migrations.fill(connection, "older", current)
            connection.commit()
            connection.execute("checkpoint")
        with building.open("rb") as written:
            os.fsync(written.fileno())
        building.rename(place)
    except (OSError, duckdb.Error) as error:
        raise ClipdbError(f"cannot upgrade {index}, which is as it was: {catalog.reason_of(error)}") from error
    finally:
        building.unlink(missing_ok=True)
    return True
