"""Make an index: whole, or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import uuid4

import duckdb

from clipdb._util.disk import sync
from clipdb.errors import ClipdbError
from clipdb.schema import catalog, migrations, snapshots, view_files
from clipdb.schema.duckdb_files import CONFIG, reason_of, require_writable
from clipdb.schema.leftovers import delete_leftovers, make_locked
from clipdb.schema.snapshots import CATALOG, SNAPSHOTS, WORK
from clipdb.schema.vectors_place import VectorsPlace, remember

_made: dict[str, bytes] = {}  # an empty catalog, by the hash of its views


def create(index: Path, vectors: VectorsPlace | None = None) -> None:
    """Make an empty index: the directory with its tables, comments, views and version.

    It is built under a temporary name beside its place and renamed: it is there whole or not at all. What was killed
    while it made one here is deleted.

    Parameters
    ----------
    index
        Its directory.
    vectors
        Where its vectors are to be. Default: in its directory.

    Raises
    ------
    ClipdbError
        If something else is in the way, another process makes it too, or the place cannot be written.
    """
    require_free(index)
    handle = None
    building = index.with_name(f".{index.name}.{uuid4().hex}")
    try:
        handle = make_locked(building)
        (building / "vectors").mkdir()
        delete_leftovers(index, "[0-9a-f]{32}", is_unfinished)
        _make_catalog(building / WORK, vectors)
        snapshots.publish(building, {})
        building.rename(index)
        sync(index.parent)
    except (OSError, duckdb.Error) as error:
        if catalog.exists(index):
            raise ClipdbError(
                f"another command has just made {index}: run this one again when it is done", kind="busy"
            ) from error
        raise ClipdbError(f"cannot make an index at {index}: {reason_of(error)}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _make_catalog(file: Path, vectors: VectorsPlace | None) -> None:
    """Make an empty catalog; after the first of a process from its bytes, since to bind all views takes .3 s."""
    if view_files.digest() in _made:
        file.write_bytes(_made[view_files.digest()])
    else:
        with duckdb.connect(str(file), config=CONFIG) as connection:
            connection.begin()
            migrations.make(connection)
            connection.commit()
            connection.execute("checkpoint")
        _made[view_files.digest()] = file.read_bytes()
    with duckdb.connect(str(file), config=CONFIG) as connection:
        migrations.stamp(connection, migrations.SCHEMA_VERSION)
        if vectors is not None:
            remember(connection, vectors)
        # Closing does this too, but keeps quiet when the disk is full.
        connection.execute("checkpoint")


def is_unfinished(directory: Path) -> bool:
    """Return whether a directory with the name of an index that is being made holds what an index may, and no more."""
    return directory.is_dir() and all(
        one.name in ("vectors", "writer.lock", SNAPSHOTS, WORK, f"{WORK}.wal") or CATALOG in one.name
        for one in directory.iterdir()
    )


def require_free(index: Path) -> None:
    """Check that an index can be made here.

    Raises
    ------
    ClipdbError
        If it isn't a valid name for one, or something else is in the way.
    """
    if not index.name:
        raise ClipdbError(f"{index} isn't a valid name for an index: write one as NAME.clipdb")
    if catalog.exists(index):
        raise ClipdbError(f"{index} is an index already: choose another name")
    catalog.refuse_artefact(index)
    if index.exists() and not (index.is_dir() and not any(index.iterdir())):
        raise ClipdbError(f"{index} is there and is not an index: choose another name")
    require_writable(index)
