"""A stranger's SQL that reaches for more than the index is refused in one line, and the next question is answered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import pytest
from escapes import FUNCTIONS, HIDDEN, SECRET, STATEMENTS, SUBJECTS, TABLE_FUNCTIONS, TABLES

from clipdb.errors import ClipdbError
from clipdb.sandbox import Sandbox


def refused(sandbox: Sandbox, sql: str, place: Path, outside: Path) -> str:
    """Ask what must be refused; return the line."""
    before = sorted(outside.iterdir())
    asked = sql
    for word, path in (("FOLDER", outside), ("CATALOG", place / "catalog.duckdb"), ("INDEX", place)):
        asked = asked.replace(word, str(path))
    with pytest.raises(ClipdbError) as error:
        sandbox.ask(asked)
    line = str(error.value)
    assert line and len(line.splitlines()) == 1 and line.isprintable(), line
    assert asked != sql or str(place) not in line
    assert SECRET not in line and "root:" not in line and "ended the process" not in line
    assert sorted(outside.iterdir()) == before
    assert sandbox.ask("select count(*) from heads").rows == [(6,)]
    return line


@pytest.mark.parametrize("sql", TABLE_FUNCTIONS + TABLES + HIDDEN)
def test_what_is_read_is_the_index(sandbox: Sandbox, place: Path, outside: Path, sql: str) -> None:
    line = refused(sandbox, sql, place, outside)
    assert line.startswith(("untrusted SQL may not read", "untrusted SQL may not list")), line


@pytest.mark.parametrize("sql", FUNCTIONS)
def test_functions_are_refused_by_name(sandbox: Sandbox, place: Path, outside: Path, sql: str) -> None:
    assert refused(sandbox, sql, place, outside).startswith("untrusted SQL may not call ")


@pytest.mark.parametrize("sql", STATEMENTS)
def test_only_one_select_runs(sandbox: Sandbox, place: Path, outside: Path, sql: str) -> None:
    assert refused(sandbox, sql, place, outside)


@pytest.mark.parametrize("sql", SUBJECTS)
def test_functions_of_clipdb_open_no_file_and_run_no_model(
    sandbox: Sandbox, place: Path, outside: Path, sql: str
) -> None:
    assert refused(sandbox, sql, place, outside)


def test_every_function_of_this_duckdb_was_judged() -> None:
    """Where DuckDB has others, look through them, see to `REFUSED` in clipdb/sandbox/statements.py, and change this."""
    kinds = "('scalar', 'aggregate', 'macro')"
    names = f"select distinct function_name from duckdb_functions() where function_type in {kinds} order by all"
    found = [name for (name,) in duckdb.connect().execute(names).fetchall()]
    assert hashlib.sha256(" ".join(found).encode()).hexdigest()[:12] == "c97e2bf1778c"


def test_macros_of_duckdb_that_read_relations_are_refused(sandbox: Sandbox) -> None:
    reading = (
        "select distinct function_name, len(parameters) from duckdb_functions() where function_type = 'macro' "
        "and regexp_matches(macro_definition, '\\bfrom\\s+\\w+\\(|current_query|sleep_ms', 'i')"
    )
    found = duckdb.connect().execute(reading).fetchall()
    assert len(found) >= 5
    for name, parameters in found:
        with pytest.raises(ClipdbError, match="untrusted SQL may not call"):
            sandbox.ask(f"select {name}({', '.join(['null'] * parameters)})")


def test_there_are_many() -> None:
    assert len({*TABLE_FUNCTIONS, *TABLES, *HIDDEN, *FUNCTIONS, *STATEMENTS, *SUBJECTS}) >= 200
