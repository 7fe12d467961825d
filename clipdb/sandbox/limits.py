"""How much a stranger's question may take, and how the process that runs it is kept to that."""

from __future__ import annotations

import resource
from pathlib import Path

LETTERS = 20_000
"""Of SQL."""

ROWS = 1000
BYTES = 5_000_000
"""Of an answer, as JSON; it is cut before the row that goes over either."""

SECONDS = 5.0
"""After which a question is interrupted."""

KILL_SECONDS = 7.0
"""After which its process is killed: some functions of DuckDB don't heed an interrupt."""

MEMORY = 2 * 2**30
"""Bytes that a process may have beyond what it began with, and in all that it may have in memory."""

TOO_LONG = f"the SQL takes longer than {SECONDS:g} s"
TOO_LARGE = "the SQL needs more memory than it may have"


def limit_process() -> None:
    """Limit what this process may use from now on: memory; no core dumps, and no bytes in any file."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, size + MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def limit_question() -> None:
    """End this process if its next question computes too long, even where nobody is left to kill it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + KILL_SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def resident(process: int) -> int:
    """Return how many bytes of memory a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
