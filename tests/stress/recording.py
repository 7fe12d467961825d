"""Fork the commands that come as lines of JSON, one after the other; answer each with its exit code (`power.py`)."""

from __future__ import annotations

import json
import os
import sys

import imported  # noqa: F401 - before the first fork


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(environment: dict[str, str], log: str, arguments: list[str]) -> None:
    from clipdb.__main__ import main as clipdb

    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(descriptor, number)
    sys.argv = ["clipdb", *arguments]
    clipdb()


if __name__ == "__main__":
    main()
