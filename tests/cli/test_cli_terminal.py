"""Names and cells of a stranger's export, on a terminal, in a pipe and in a file."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from built_index import Built
from support import clipdb, refused
from written_artefact import write_built

CLI = [sys.executable, "-m", "clipdb.cli"]
NAME = "a\x1b]0;owned\x07\x1b[31m"
CELL = "b\x1b[2J\x9b31m\u202eevil\x7f\rc"
SQL = f"select $${CELL}$$ as \"{NAME}\", [$${CELL}$$] as l, {{'{NAME}': 1}} as s"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def export(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_built(tmp_path_factory.mktemp("strange") / "export", built)


def on_terminal(*arguments: object) -> str:
    """Run a command on a terminal; return what it wrote there, without the terminal's own carriage returns."""
    ours, its = pty.openpty()
    with subprocess.Popen([*CLI, *map(str, arguments)], stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        written = b""
        try:
            while read := os.read(ours, 65536):
                written += read
        except OSError:  # which is how Linux tells the end
            pass
    os.close(ours)
    assert process.returncode == 0, written
    return written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("form", ["table", "markdown", "json", "jsonl", "csv"])
def test_nothing_steers_a_terminal(export: Path, form: str) -> None:
    written = on_terminal("query", SQL, "-f", form, "-i", export)
    assert "evil" in written and "owned" in written
    assert STEERING.findall(written) == []


@pytest.mark.parametrize("form", ["table", "markdown", "json", "jsonl"])
def test_nothing_steers_one_from_a_pipe_either(export: Path, form: str) -> None:
    written = clipdb("query", SQL, "-f", form, "-i", export).stdout
    assert "evil" in written and STEERING.findall(written) == []


def test_exact_forms_are_exact(export: Path, tmp_path: Path) -> None:
    [row] = json.loads(clipdb("query", SQL, "-f", "json", "-i", export).stdout)
    assert row == {NAME: CELL, "l": [CELL], "s": {NAME: 1}}
    file = tmp_path / "rows.csv"
    assert clipdb("query", SQL, "-o", file, "-i", export).exit_code == 0
    with file.open(newline="") as stream:
        names, cells = csv.reader(stream)
    assert names == [NAME, "l", "s"] and cells[0] == CELL
    assert json.loads(cells[1]) == [CELL] and json.loads(cells[2]) == {NAME: 1}
    piped = clipdb("query", SQL, "-f", "csv", "-i", export).stdout
    assert list(csv.reader(io.StringIO(piped, newline="")))[1][0] == CELL


def test_a_message_is_one_line_whatever_is_named_in_it(tmp_path: Path) -> None:
    line = refused("ingest", "texts", tmp_path / "na\nme\x1b[31m.csv", "--pool", "p", "-i", tmp_path / "i.clipdb")
    assert r"na me\u001b[31m.csv" in line


def test_a_message_does_not_repeat_a_long_cell(export: Path) -> None:
    result = clipdb("query", f"select '{'x' * 70_000}'::int", "-i", export)
    assert result.exit_code == 1 and max(map(len, result.stderr.splitlines())) < 1100
    assert result.stderr.startswith("Error: Conversion Error: Could not convert string 'xxx")
