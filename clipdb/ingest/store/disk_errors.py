"""What a full disk, or one that refuses, is called in one line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clipdb.errors import ClipdbError

_LANCE_REFUSED = re.compile(r"LanceError\(IO\): (?P<reason>.+?)(?:, \S+\.rs:\d+:\d+)?$", re.MULTILINE)


@contextmanager
def disk_errors(index: Path) -> Iterator[None]:
    """Turn a full disk, as Lance, DuckDB and the operating system report it, into a sentence."""
    try:
        yield
    except (OSError, duckdb.Error) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "no space left" in str(error).lower()
        if not full:
            if refused := _LANCE_REFUSED.search(str(error)):  # by a file system without links, for example
                raise ClipdbError(
                    f"{index} can't be written where it is ({refused['reason']}): copy it to a local disk"
                ) from error
            raise
        raise ClipdbError(
            f"the disk of {index} is full: what was committed is kept; free some space and run the same command again"
        ) from error
