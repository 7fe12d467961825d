"""Make and open the catalog of an index. Needs duckdb only; SQLAlchemy is imported where an index is made."""

from __future__ import annotations

import itertools
import re
import time
from contextlib import suppress
from pathlib import Path

import duckdb

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.schema import migrations, views
from clipdb.schema.connections import settle
from clipdb.schema.names import MANIFEST

CATALOG = "catalog.duckdb"
SCHEMA_VERSION = migrations.SCHEMA_VERSION

# One configuration for every connection: DuckDB refuses to open a file twice in one process with two of them.
# Without autoinstall a query that names an unknown function fails at once; with it, DuckDB tries the network.
CONFIG: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": False}
_LOCKED = re.compile(r"Could not set lock on file|being used by another process")
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_DAMAGED = re.compile(
    r"Corrupt|Could not read enough bytes|replaying WAL|Serialization Error|INTERNAL Error|FATAL Error"
)
_HELD_HERE = re.compile("with a different configuration|is already attached by database")
_RETRY_SECONDS = 0.05
_SHOWN = 3  # indexes that a message names


def exists(index: Path) -> bool:
    """Return whether a directory holds a catalog."""
    return (index / CATALOG).is_file()


def is_artefact(index: Path) -> bool:
    """Return whether a directory is an artefact: Parquet files with a manifest, made for reading."""
    return (index / MANIFEST).is_file() and not exists(index)


def in_memory() -> duckdb.DuckDBPyConnection:
    """Open a catalog in memory, of nothing yet; the caller closes it. Times are rendered in UTC."""
    connection = duckdb.connect(config=CONFIG)
    connection.execute("set global TimeZone = 'UTC'")
    return connection


def create(index: Path) -> None:
    """Make an empty index: the directory with its tables, comments, views and version.

    It is built under a temporary name beside its place and renamed: it is there whole or not at all. What was killed
    while it made one here is deleted.

    Raises
    ------
    ClipdbError
        If something else is in the way, another process makes it too, or the place cannot be written.
    """
    require_free(index)
    # Not at the top: most commands only read, and these take longer to import than the rest of this module.
    import os
    import shutil
    from uuid import uuid4

    from clipdb.schema.leftovers import delete_leftovers, make_locked

    handle = None
    building = index.with_name(f".{index.name}.{uuid4().hex}")
    try:
        handle = make_locked(building)
        (building / "vectors").mkdir()
        delete_leftovers(index, "[0-9a-f]{32}", is_unfinished)
        with duckdb.connect(str(building / CATALOG), config=CONFIG) as connection:
            connection.begin()
            migrations.make(connection)
            migrations.stamp(connection, SCHEMA_VERSION)
            connection.commit()
            # Closing does this too, but keeps quiet when the disk is full.
            connection.execute("checkpoint")
        building.rename(index)
    except (OSError, duckdb.Error) as error:
        if exists(index):
            raise ClipdbError(
                f"another command has just made {index}: run this one again when it is done", kind="busy"
            ) from error
        raise ClipdbError(f"cannot make an index at {index}: {reason_of(error)}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def is_unfinished(directory: Path) -> bool:
    """Return whether a directory with the name of an index that is being made holds what an index may, and no more."""
    return directory.is_dir() and all(
        one.name in ("vectors", "writer.lock") or one.name.startswith(CATALOG) for one in directory.iterdir()
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
    if exists(index):
        raise ClipdbError(f"{index} is an index already: choose another name")
    refuse_artefact(index)
    if index.exists() and not (index.is_dir() and not any(index.iterdir())):
        raise ClipdbError(f"{index} is there and is not an index: choose another name")
    _require_writable(index)


def connect(index: Path, read_only: bool = True, wait: float = 10.0) -> duckdb.DuckDBPyConnection:
    """Open the catalog of an index.

    Many processes may read at once, or one may write: keep a writing connection open for a commit, no longer.

    Parameters
    ----------
    index
        Directory of the index.
    read_only
        Open for reading.
    wait
        Seconds to keep trying while another process has the catalog open in the other way.

    Returns
    -------
    duckdb.DuckDBPyConnection
        The caller closes it. Times are rendered in UTC.

    Raises
    ------
    ClipdbError
        If there is no index, it stays in use, it cannot be read, or it is of another schema version.
    """
    connection = open_any(index, read_only, wait)
    try:
        connection.execute("set global TimeZone = 'UTC'")
        _check_version(connection, index)
        if not views.are_current(connection):
            views.create(connection, comments=not read_only, temporary=read_only)
    except BaseException as error:  # Ctrl-C too: a connection left open would keep this process from writing
        settle(connection)
        connection.close()
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


def _require_writable(index: Path) -> None:
    """Refuse a name that reads well, but before whose question mark DuckDB would put the suffix of its log."""
    if "?" in str(index):
        raise ClipdbError(
            f"{index} can't be written to: DuckDB takes what follows a ? for no path: rename the directory"
        )


def open_any(index: Path, read_only: bool, wait: float) -> duckdb.DuckDBPyConnection:
    """Open a catalog as `connect` does, whatever its schema version."""
    require_index(index)
    if not read_only:
        _require_writable(index)
    deadline = time.monotonic() + wait
    while True:
        try:
            return duckdb.connect(str(index / CATALOG), read_only=read_only, config=CONFIG)
        except duckdb.Error as error:
            if not (_LOCKED.search(str(error)) or _HELD_HERE.search(str(error))):
                raise unreadable(index, error) from error
            if time.monotonic() >= deadline:
                raise ClipdbError(_in_use(index, str(error)), kind="busy") from error
        time.sleep(_RETRY_SECONDS)


def _in_use(index: Path, message: str) -> str:
    if _HELD_HERE.search(message):
        return f"{index} is open in this process for another use: close that connection first"
    holder = _HOLDER.search(message)
    who = f"process {holder['pid']} ({holder['program']})" if holder else "another process"
    return f"{index} is in use by {who}: try again when it is done"


def unreadable(index: Path, error: Exception) -> ClipdbError:
    """Return, in one line, why DuckDB can't read a catalog."""
    reason = reason_of(error)
    path = index / CATALOG
    if "not a valid DuckDB database" in reason:
        return ClipdbError(f"{path} is not a DuckDB file: restore it from a copy, or ingest into a new index")
    if "version number" in reason:
        return ClipdbError(f"{path} was written by another version of DuckDB: upgrade clipdb ({reason})", kind="newer")
    if _DAMAGED.search(reason):
        return ClipdbError(f"{path} is damaged: restore it from a copy, or ingest into a new index ({reason})")
    return ClipdbError(f"{path} cannot be opened: {reason}")


def _check_version(connection: duckdb.DuckDBPyConnection, index: Path) -> None:
    version = known_version(connection, index)
    if version < SCHEMA_VERSION:
        raise ClipdbError(
            f"{index} has schema version {version}, older than this clipdb's {SCHEMA_VERSION}: "
            f"run `clipdb upgrade {index}`"
        )


def known_version(connection: duckdb.DuckDBPyConnection, index: Path) -> int:
    """Return the schema version of a catalog, which this clipdb can read or upgrade.

    Raises
    ------
    ClipdbError
        If clipdb didn't make the catalog, or a newer clipdb did.
    """
    version = migrations.version(connection)
    if version is None:
        raise ClipdbError(f"{index / CATALOG} is a DuckDB file that clipdb did not make: choose another index")
    if version > SCHEMA_VERSION:
        raise ClipdbError(
            f"{index} has schema version {version} and this clipdb knows {SCHEMA_VERSION}: "
            "upgrade clipdb with `pip install --upgrade clipdb`",
            kind="newer",
        )
    return version


def reason_of(error: Exception) -> str:
    """Return in one line why the operating system or DuckDB failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(error)
