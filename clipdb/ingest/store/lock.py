"""One writer at a time: `writer.lock`, which the operating system lets go of when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from clipdb._util.text import without_login
from clipdb.errors import ClipdbError

LOCK = "writer.lock"


@contextmanager
def writer_lock(index: Path) -> Iterator[None]:
    """Hold the index for writing.

    Raises
    ------
    ClipdbError
        Naming the process that holds it, or saying why the index can't be written.
    """
    with _locked(index, fcntl.LOCK_EX) as file:
        file.truncate(0)
        # The file stays, and its content is shown to others: without any secret.
        command = " ".join([Path(sys.argv[0]).name, *_without_secrets(sys.argv[1:])])[:200]
        json.dump({"pid": os.getpid(), "command": command, "since": f"{datetime.now(UTC):%F %T} UTC"}, file)
        file.flush()
        yield


def require_unlocked(index: Path) -> None:
    """Check that nobody else writes an index, before what takes seconds; who begins to write meanwhile is met later.

    Raises
    ------
    ClipdbError
        As `writer_lock` does.
    """
    if (index / LOCK).exists():
        with _locked(index, fcntl.LOCK_SH):  # which isn't in the way of others who check
            pass


@contextmanager
def _locked(index: Path, kind: int) -> Iterator[TextIO]:
    try:
        file = (index / LOCK).open("a+")
    except OSError as error:
        raise ClipdbError(f"{index} can't be written: {error.strerror}: copy it to where you may write") from error
    with file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ClipdbError(
                f"{index} is being written by {_holder(file.read())}: wait for it, or stop it; queries work meanwhile",
                kind="busy",
            ) from error
        except OSError as error:
            raise ClipdbError(
                f"{index} can't be written where it is, on a file system without locks ({error.strerror}): copy it to "
                "a local disk; queries work here, as long as nobody writes"
            ) from error
        yield file


def _without_secrets(arguments: list[str]) -> Iterator[str]:
    """Leave out passwords of addresses, and what opens a store."""
    for before, one in pairwise(["", *arguments]):
        if before == "--storage-option" or one.startswith("--storage-option="):
            yield "..."
        else:
            yield without_login(one)


def _holder(content: str) -> str:
    try:
        holder = json.loads(content)
        return f"process {holder['pid']} ({holder['command']}, since {holder['since']})"
    except (ValueError, KeyError):
        return "another process"
