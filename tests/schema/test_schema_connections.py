"""Ctrl-C during a statement of DuckDB, after which the same process opens the catalog again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPT = """
import os, signal, sys, threading
from pathlib import Path
from clipdb.ingest.store.writer import Writer
from clipdb.queries.index import Index

signal.signal(signal.SIGINT, signal.default_int_handler)
index, how = Path(sys.argv[1]), sys.argv[2]
long = "select sum(a.range * b.range % 7) from range(1000000) a, range(1000000) b"

def ctrl_c():
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

try:
    if how == "write":
        with Writer(index, "test", {}, create=True) as writer:
            with writer.transaction() as connection:
                connection.execute("insert into texts values ('0', 'kept')")
            with writer.transaction() as connection:
                ctrl_c()
                connection.execute(f"insert into texts select '1', ({long})::varchar")
    elif how == "read":
        with Writer(index, "test", {}, create=True) as writer:
            with writer.transaction() as connection:
                connection.execute("insert into texts values ('0', 'kept')")
            ctrl_c()
            writer.read(long)
    else:
        with Writer(index, "test", {}, create=True) as writer, writer.transaction() as connection:
            connection.execute("insert into texts values ('0', 'kept')")
        with Index(index) as opened:
            ctrl_c()
            opened.execute(long)
except KeyboardInterrupt:
    print("stopped")
with Writer(index, "test", {}) as writer, writer.transaction() as connection:
    print(connection.execute("select text from texts").fetchall())
"""


@pytest.mark.parametrize("how", ["write", "read", "query"])
def test_the_catalog_can_be_opened_again(how: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPT, str(tmp_path / "x.clipdb"), how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "stopped\n[('kept',)]\n"), ended.stderr
