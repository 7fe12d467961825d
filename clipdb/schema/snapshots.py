"""An index's catalog as its writer has it, and as its readers have it: neither ever waits for the other.

    INDEX/work.duckdb                       what a writer commits to; only the holder of the writer's lock opens it
    INDEX/snapshots/000017/catalog.duckdb   a state of it that never changes again
    INDEX/snapshots/000017/versions.json    the versions of the Lance tables that it vouches for
    INDEX/catalog.duckdb                    a link to the newest snapshot: any DuckDB client opens it

A reader holds a shared lock on its snapshot's folder, and a writer deletes a snapshot only under an exclusive one.
DuckDB resolves the link, so that one process may have an old and a new snapshot open side by side. A file that was
replaced by a rename would silently be the old one in a process that still has that open.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from clipdb._util.disk import sync
from clipdb.errors import ClipdbError

CATALOG = "catalog.duckdb"
WORK = "work.duckdb"
SNAPSHOTS = "snapshots"
_VERSIONS = "versions.json"
_TRIES, _WAIT_SECONDS = 100, 0.01

Versions = Mapping[str, int]
"""By the Lance table's name in ``INDEX/vectors``, the version that a catalog vouches for."""


def newest(index: Path) -> Path | None:
    """Return the folder of the newest snapshot, whether it exists or not; where the link is gone, the last there is.

    None where the catalog is a file: an older clipdb wrote it, or a copy followed the link.
    """
    try:
        return (index / (index / CATALOG).readlink()).parent
    except OSError:
        numbers = [] if os.path.lexists(index / CATALOG) else _numbers(index)
        return index / SNAPSHOTS / numbers[-1] if numbers else None


def hold(index: Path, snapshot: Path | None = None) -> tuple[Path, int | None]:
    """Choose a state, the newest if no snapshot is named, and keep it from being deleted.

    Returns
    -------
    file, handle
        The catalog, and what holds it until it is closed; None on a file system without locks, and where the catalog
        is a file.

    Raises
    ------
    ClipdbError
        If the snapshot was deleted by hand.
    """
    for _ in range(_TRIES):
        folder = snapshot or newest(index)
        if folder is None:
            return index / CATALOG, None
        with suppress(FileNotFoundError, BlockingIOError):
            handle = _locked(folder, fcntl.LOCK_SH)
            if (folder / CATALOG).exists():  # else it was deleted before it was locked
                return folder / CATALOG, handle
            if handle is not None:
                os.close(handle)
        if folder in (snapshot, newest(index)) and not folder.exists():
            break
        time.sleep(_WAIT_SECONDS)
    raise ClipdbError(
        f"the newest snapshot of {index} was deleted: `clipdb upgrade {index}` publishes it again, if {WORK} is there",
        kind="absent",
    )


def publish(index: Path, versions: Versions) -> None:
    """Copy what the writer has as the newest snapshot.

    A kill or a full disk leaves the snapshots as they were. The caller holds the writer's lock, and has brought all of
    the log into ``work.duckdb`` and closed it.

    Raises
    ------
    OSError
        If the file system is full, or has no links.
    """
    folder = index / SNAPSHOTS
    folder.mkdir(exist_ok=True)
    current = newest(index)
    number = f"{max([0, *map(int, _numbers(index)), *([int(current.name)] if current else [])]) + 1:06}"
    building = folder / f".{number}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        shutil.copy2(index / WORK, building / CATALOG)  # with its time, by which `is_published` knows it
        (building / _VERSIONS).write_text(json.dumps(versions))
        for one in (building / CATALOG, building / _VERSIONS, building):
            sync(one)
        building.rename(folder / number)
        sync(folder)
        link = index / f".{CATALOG}"
        link.unlink(missing_ok=True)
        link.symlink_to(Path(SNAPSHOTS, number, CATALOG))
        link.replace(index / CATALOG)
        sync(index)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def hide_unheld(index: Path) -> None:
    """Take the snapshots that nobody holds, but the newest, out of the sight of readers."""
    current = newest(index)
    for number in _numbers(index):
        folder = index / SNAPSHOTS / number
        if folder != current:
            with suppress(BlockingIOError, FileNotFoundError):
                handle = _locked(folder, fcntl.LOCK_EX)
                folder.rename(folder.with_name(f".{number}"))
                if handle is not None:
                    os.close(handle)


def has_older(index: Path) -> bool:
    """Return whether there are other snapshots than the newest: held, hidden, or left by a killed publication."""
    return len(list((index / SNAPSHOTS).glob("*"))) > 1


def free_hidden(index: Path) -> None:
    """Give the room of hidden snapshots back, but keep which versions of tables they vouched for."""
    for left in (index / SNAPSHOTS).glob(f".*/{CATALOG}"):
        left.unlink()


def delete_hidden(index: Path) -> None:
    """Delete the snapshots that were hidden, and what killed publications left."""
    for left in (index / SNAPSHOTS).glob(".*"):
        shutil.rmtree(left)
    (index / f".{CATALOG}").unlink(missing_ok=True)


def is_published(index: Path) -> bool:
    """Return whether the newest snapshot is what the writer has."""
    folder = newest(index)
    try:
        if folder is None or (index / f"{WORK}.wal").exists():
            return False
        work, published = (index / WORK).stat(), (folder / CATALOG).stat()
    except FileNotFoundError:
        return False
    return (work.st_size, work.st_mtime_ns) == (published.st_size, published.st_mtime_ns)


def vouched(index: Path, hidden: bool = False) -> dict[str, set[int]]:
    """Return the versions of each Lance table that snapshots vouch for, or that those which are hidden vouched for."""
    found: dict[str, set[int]] = {}
    for file in (index / SNAPSHOTS).glob(f"{'.' if hidden else '[0-9]'}*/{_VERSIONS}"):
        with suppress(OSError, ValueError):  # a killed publication may have begun it
            for name, version in json.loads(file.read_bytes()).items():
                found.setdefault(name, set()).add(version)
    return found


@contextmanager
def held(handle: int | None) -> Iterator[None]:
    """Close what holds a snapshot at the end of a block that fails."""
    try:
        yield
    except BaseException:
        if handle is not None:
            os.close(handle)
        raise


def _numbers(index: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(one.name for one in (index / SNAPSHOTS).iterdir() if one.name.isdecimal())
    return []


def _locked(folder: Path, kind: int) -> int | None:
    """Lock a folder; None on a file system without locks.

    Raises
    ------
    BlockingIOError
        If somebody else has it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle
