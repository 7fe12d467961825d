"""Bring the catalog of an index to this schema version."""

from __future__ import annotations

from pathlib import Path

import duckdb

from clipdb._util.disk import sync
from clipdb.errors import ClipdbError
from clipdb.schema import catalog, migrations, snapshots, vectors_place, view_files, views
from clipdb.schema.connections import closing
from clipdb.schema.duckdb_files import CONFIG, reason_of
from clipdb.schema.snapshots import WORK


def upgrade(index: Path) -> bool:
    """Bring what the writer of an index has to this version; the caller holds it for writing, and publishes it.

    An older catalog is written anew, beside its place, and renamed: after a failure or a kill the index is as it was.

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
    published = snapshots.is_published(index)
    with closing(catalog.open_work(index)) as connection:
        current = catalog.known_version(connection, index)
        if current == migrations.SCHEMA_VERSION:
            if outdated := not view_files.are_current(connection):
                views.create(connection)
            return outdated or not published
        vectors = vectors_place.remembered(connection)
        connection.execute("checkpoint")  # a log left beside it would be replayed into the new file
    place = index / WORK
    building = place.with_name(f".{place.name}.upgrade")
    older = str(place).replace("'", "''")
    try:
        building.unlink(missing_ok=True)
        with duckdb.connect(str(building), config=CONFIG) as connection:
            connection.execute(f"attach '{older}' as older (read_only)")
            connection.begin()
            migrations.make(connection)
            migrations.fill(connection, "older", current)
            if vectors is not None:
                vectors_place.remember(connection, vectors)
            connection.commit()
            connection.execute("checkpoint")
        sync(building)
        building.rename(place)
        sync(index)
    except (OSError, duckdb.Error) as error:
        if snapshots.newest(index) is None:  # its catalog is a file still, which an older clipdb may go on to write
            place.unlink()
        raise ClipdbError(f"cannot upgrade {index}, which is as it was: {reason_of(error)}") from error
    finally:
        building.unlink(missing_ok=True)
    return True
