"""Open DuckDB's files in one way, and say in one line why one can't be opened. Needs duckdb only."""

from __future__ import annotations

import re
import time
from pathlib import Path

import duckdb

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.schema.snapshots import CATALOG

# One configuration for every connection: DuckDB refuses to open a file twice in one process with two of them.
# Without autoinstall a query that names an unknown function fails at once; with it, DuckDB tries the network.
CONFIG: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": False}
_LOCKED = re.compile(r"Could not set lock on file|being used by another process")
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_DAMAGED = re.compile(
    r"Corrupt|Could not read enough bytes|replaying WAL|Serialization Error|INTERNAL Error|FATAL Error"
)
_HELD_HERE = re.compile("with a different configuration|is already attached by database")
WAIT_SECONDS = 10.0
_RETRY_SECONDS = 0.05


def open_file(index: Path | str, file: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file of an index; wait a little for whoever has it open in the other way.

    Raises
    ------
    ClipdbError
        If it stays in use (``busy``), or DuckDB can't open it.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return duckdb.connect(str(file), read_only=read_only, config=CONFIG)
        except duckdb.Error as error:
            if not (_LOCKED.search(str(error)) or _HELD_HERE.search(str(error))):
                raise unreadable(index, error) from error
            if time.monotonic() >= deadline:
                raise ClipdbError(_in_use(index, str(error)), kind="busy") from error
        time.sleep(_RETRY_SECONDS)


def require_writable(index: Path) -> None:
    """Refuse a name that reads well, but before whose question mark DuckDB would put the suffix of its log."""
    if "?" in str(index):
        raise ClipdbError(
            f"{index} can't be written to: DuckDB takes what follows a ? for no path: rename the directory"
        )


def _in_use(index: Path | str, message: str) -> str:
    if _HELD_HERE.search(message):
        return f"{index} is open in this process for another use: close that connection first"
    holder = _HOLDER.search(message)
    who = f"process {holder['pid']} ({holder['program']})" if holder else "another process"
    return f"{index} is in use by {who}: try again when it is done"


def unreadable(index: Path | str, error: Exception) -> ClipdbError:
    """Return, in one line, why DuckDB can't read a catalog."""
    reason = reason_of(error)
    path = f"{index}/{CATALOG}"
    if "not a valid DuckDB database" in reason:
        return ClipdbError(f"{path} is not a DuckDB file: restore it from a copy, or ingest into a new index")
    if "version number" in reason:
        return ClipdbError(f"{path} was written by another version of DuckDB: upgrade clipdb ({reason})", kind="newer")
    if _DAMAGED.search(reason):
        return ClipdbError(f"{path} is damaged: restore it from a copy, or ingest into a new index ({reason})")
    return ClipdbError(f"{path} cannot be opened: {reason}")


def is_torn(error: ClipdbError) -> bool:
    """Return whether a file can't be opened because the checksum of a block is not that of its content."""
    return "Corrupt database file" in str(error)


def reason_of(error: Exception) -> str:
    """Return in one line why the operating system or DuckDB failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(error)
