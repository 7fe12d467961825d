"""Make and open the catalog of an index. Needs duckdb only; SQLAlchemy is imported where an index is made."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from clipdb._util.disk import sync
from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.schema import migrations, snapshots, view_files
from clipdb.schema.connections import closing, settle
from clipdb.schema.duckdb_files import CONFIG, is_torn, open_file, reason_of, require_writable, unreadable
from clipdb.schema.names import MANIFEST, vectors_file
from clipdb.schema.snapshots import CATALOG, WORK
from clipdb.stores.address import StoreAddress, is_store

SCHEMA_VERSION = migrations.SCHEMA_VERSION

_SHOWN = 3  # indexes that a message names

# What keeps the snapshot of each connection.
_holding: weakref.WeakKeyDictionary[duckdb.DuckDBPyConnection, weakref.finalize[..., duckdb.DuckDBPyConnection]] = (
    weakref.WeakKeyDictionary()
)


def exists(index: Path) -> bool:
    """Return whether a directory holds a catalog."""
    return (index / CATALOG).is_file() or snapshots.newest(index) is not None


def is_artefact(index: Path) -> bool:
    """Return whether a directory is an artefact: Parquet files with a manifest, made for reading."""
    return (index / MANIFEST).is_file() and not exists(index)


def in_memory() -> duckdb.DuckDBPyConnection:
    """Open a catalog in memory, of nothing yet; the caller closes it. Times are rendered in UTC."""
    connection = duckdb.connect(config=CONFIG)
    connection.execute("set global TimeZone = 'UTC'")
    return connection


def connect(index: Path, snapshot: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open the catalog of an index for reading: its newest state, which stays as it is, whatever is written meanwhile.

    Any number of processes may read while one writes.

    Parameters
    ----------
    index
        Directory of the index.
    snapshot
        The folder of an older state that is held already. Default: the newest.

    Returns
    -------
    duckdb.DuckDBPyConnection
        The caller closes it. Its state is kept until it is forgotten or `release` is called. Times are rendered in UTC.

    Raises
    ------
    ClipdbError
        If there is no index, it cannot be read, or it is of another schema version.
    """
    require_index(index)
    file, handle = snapshots.hold(index, snapshot)
    with snapshots.held(handle):
        connection = open_file(index, file, read_only=True)
    if handle is not None:
        _holding[connection] = weakref.finalize(connection, os.close, handle)
    return _checked(index, connection, read_only=True)


def connect_downloaded(index: StoreAddress, file: Path) -> duckdb.DuckDBPyConnection:
    """Open the catalog of an index in a store, which was downloaded; the caller closes it.

    Raises
    ------
    ClipdbError
        If it can't be read, or is of another schema version.
    """
    return _checked(index, open_file(index, file, read_only=True), read_only=True)


def release(connection: duckdb.DuckDBPyConnection) -> None:
    """Let go of the state that a connection which was closed had open."""
    if connection in _holding:
        _holding.pop(connection)()


def connect_writing(index: Path) -> duckdb.DuckDBPyConnection:
    """Open what the writer of an index has; the caller holds its lock, closes this, and publishes what it wrote.

    Raises
    ------
    ClipdbError
        If somebody else has that file open (``busy``), there is no index (``absent``), it can't be written, or it is of
        another schema version.
    """
    return _checked(index, open_work(index), read_only=False)


@contextmanager
def changing(index: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Change the relations of an index and publish them; the caller holds it for writing, and its vectors stay."""
    with closing(connect_writing(index)) as connection:
        yield connection
        connection.execute("checkpoint")
        versions = versions_by_file(connection)
    snapshots.publish(index, versions)
    snapshots.hide_unheld(index)
    snapshots.delete_hidden(index)


def committed_versions(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, Any], int]:
    """Read which version of each Lance table, by model and kind, a catalog vouches for."""
    rows = connection.execute(
        "select model_id, kind, max(lance_version) from batches group by model_id, kind order by model_id, kind"
    ).fetchall()
    return {(model_id, kind): version for model_id, kind, version in rows}


def versions_by_file(connection: duckdb.DuckDBPyConnection) -> snapshots.Versions:
    """Read which version of each Lance table, by its file's name, a catalog vouches for."""
    return {vectors_file(*key): version for key, version in committed_versions(connection).items()}


def _checked(index: Path | str, connection: duckdb.DuckDBPyConnection, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        connection.execute("set global TimeZone = 'UTC'")
        _check_version(connection, index)
        if not view_files.are_current(connection):
            from clipdb.schema import views

            views.create(connection, comments=not read_only, temporary=read_only)
    except BaseException as error:  # Ctrl-C too: a connection left open would keep this process from writing
        settle(connection)
        connection.close()
        release(connection)
        if isinstance(error, duckdb.Error):
            raise unreadable(index, error) from error
        raise
    return connection


def refuse_artefact(index: Path) -> None:
    """Return what to do with an artefact where only an index will do.

    Raises
    ------
    ClipdbError
        If this is one.
    """
    if is_artefact(index):
        raise ClipdbError(
            f"{index} is an artefact, made for reading: `clipdb import {index} -i INDEX` makes an index of it"
        )


def require_index(index: Path) -> None:
    """Check that a directory is an index.

    Raises
    ------
    ClipdbError
        Saying what it is instead.
    """
    if not index.exists():
        found = _nearby(index)
        near = ", ".join([*map(str, found[:_SHOWN]), *(["..."] if len(found) > _SHOWN else [])])
        name = f"name one with -i ({near}), or " if near else ""
        raise ClipdbError(
            f"no index at {index}: {name}make one with `clipdb ingest images ...` or `clipdb demo`", kind="absent"
        )
    if index.name == MANIFEST:
        raise ClipdbError(f"{index} is a file of an artefact: name the directory, {index.parent}")
    if not index.is_dir():
        raise ClipdbError(f"{index} is a file, not an index: an index is a directory, by convention NAME.clipdb")
    refuse_artefact(index)
    # Only asks whether the file is there: opening and closing it here would drop DuckDB's own locks on it.
    if not exists(index):
        raise ClipdbError(f"{index} is not an index: it has no {CATALOG}", kind="absent")


def _nearby(index: Path) -> list[Path]:
    """List a few indexes beside a place where there is none, and one folder further down."""
    folder = index.parent
    found = itertools.chain(folder.glob(f"*/{CATALOG}"), folder.glob(f"*/*/{CATALOG}"))
    with suppress(OSError):
        return [file.parent for file in itertools.islice(found, _SHOWN + 1)]
    return []


def open_work(index: Path) -> duckdb.DuckDBPyConnection:
    """Open what the writer of an index has, whatever its schema version; if it is missing, the catalog becomes it.

    So it does if it is torn: DuckDB writes some blocks in place, and where that is cut short, by a power failure, a
    block is neither the old one nor the new. What was committed since the last publication is lost then.
    """
    require_index(index)
    require_writable(index)
    if not (index / WORK).exists():
        _adopt(index)
    try:
        return open_file(index, index / WORK, read_only=False)
    except ClipdbError as error:
        if not is_torn(error) or snapshots.newest(index) is None:
            raise
    note(f"note: {index / WORK} is damaged: what was committed since the newest snapshot has to be done again")
    (index / f"{WORK}.wal").unlink(missing_ok=True)
    _adopt(index)
    return open_file(index, index / WORK, read_only=False)


def _adopt(index: Path) -> None:
    """Make what the writer works on from a catalog that an older clipdb wrote, or that was copied alone."""
    import shutil

    file, handle = snapshots.hold(index)
    building = index / f".{WORK}"
    try:
        if handle is None:
            with open_file(index, file, read_only=False) as connection:
                connection.execute("checkpoint")  # a log beside it would be left behind
        shutil.copyfile(file, building)
        sync(building)
        building.rename(index / WORK)
        sync(index)
    except OSError as error:
        raise ClipdbError(f"{index} can't be written: {reason_of(error)}") from error
    finally:
        building.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _check_version(connection: duckdb.DuckDBPyConnection, index: Path | str) -> None:
    version = known_version(connection, index)
    if version < SCHEMA_VERSION:
        advice = (
            "upgrade the index that this is a copy of, and export it again"
            if is_store(index)
            else f"run `clipdb upgrade {index}`"
        )
        raise ClipdbError(f"{index} has schema version {version}, older than this clipdb's {SCHEMA_VERSION}: {advice}")


def known_version(connection: duckdb.DuckDBPyConnection, index: Path | str) -> int:
    """Return the schema version of a catalog, which this clipdb can read or upgrade.

    Raises
    ------
    ClipdbError
        If clipdb didn't make the catalog, or a newer clipdb did.
    """
    version = migrations.version(connection)
    if version is None:
        raise ClipdbError(f"{index}/{CATALOG} is a DuckDB file that clipdb did not make: choose another index")
    if version > SCHEMA_VERSION:
        raise ClipdbError(
            f"{index} has schema version {version} and this clipdb knows {SCHEMA_VERSION}: upgrade clipdb",
            kind="newer",
        )
    return version
