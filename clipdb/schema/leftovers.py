"""Files that are whole or as they were, and what killed commands left of them beside their places.

A command that still writes holds a lock on what it builds.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipdb.errors import ClipdbError

_TRIES, _WAIT_SECONDS = 20, 0.005


def locked(path: Path) -> int | None:
    """Lock a file or directory for as long as the handle is open; None where another process has, or has deleted it."""
    handle = os.open(path, os.O_RDONLY)
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.stat()):  # else it was deleted before it was locked, and made anew
            return handle
    os.close(handle)
    return None


def make_locked(directory: Path) -> int | None:
    """Make a directory and lock it, again where somebody took it for a leftover before it was locked.

    Returns
    -------
    int or None
        The handle that holds the lock; None on a file system without locks.
    """
    for _ in range(_TRIES):
        with suppress(FileNotFoundError, FileExistsError):  # it may go while it is looked at
            directory.mkdir(parents=True, exist_ok=True)
            handle = locked(directory)
            if handle is not None:
                return handle
        time.sleep(_WAIT_SECONDS)
    directory.mkdir(parents=True, exist_ok=True)
    return None


def delete_leftovers(place: Path, ending: str, ours: Callable[[Path], bool]) -> None:
    """Delete what writers of a place left that were killed, as far as this person may.

    Parameters
    ----------
    place
        The file or directory that they were to make. They build it beside, as ``.NAME.ENDING``.
    ending
        A regular expression of the endings.
    ours
        Tells what clipdb made from what only has such a name.
    """
    leftover = re.compile(rf"\.{re.escape(place.name)}\.{ending}")
    with suppress(OSError):
        for other in [one for one in place.parent.iterdir() if leftover.fullmatch(one.name)]:
            with suppress(OSError):  # it may have been finished, or deleted by another, meanwhile
                if ours(other) and (handle := locked(other)) is not None:
                    if other.is_dir():
                        shutil.rmtree(other, ignore_errors=True)
                    else:
                        other.unlink()
                    os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Build a file under another name and rename it, so that it is whole or as it was.

    What killed commands left of the same file is deleted.
    """
    if not path.parent.is_dir():
        raise ClipdbError(f"can't write {path}: there is no directory {path.parent}", kind="absent")
    building = path.with_name(f".{path.name}.{os.getpid()}")
    handle = None
    try:
        building.touch()
        handle = locked(building)
        delete_leftovers(path, "[0-9]+", Path.is_file)
        yield building
        building.replace(path)
    except OSError as error:
        raise ClipdbError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where it couldn't be made there is none
            building.unlink()
        if handle is not None:
            os.close(handle)
