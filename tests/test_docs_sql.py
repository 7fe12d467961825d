"""docs/sql.md: every statement runs, and says what it says it prints."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from tool_scripts import tool as load_tool

import clipdb

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("run_sql_docs")


def test_every_statement_runs_and_has_the_columns_that_are_shown(tool: ModuleType, ready_index: Path) -> None:
    blocks = list(tool.blocks(PAGE))
    assert len(blocks) == PAGE.count("```sql") > 5
    with clipdb.open(ready_index, device="cpu") as db:
        for sql, output in blocks:
            result = db.sql(sql)
            assert result.columns == output.splitlines()[0].split(), sql
            assert result.fetchall(), sql
            assert len(output.splitlines()) > 2, sql


def test_the_page_is_made_anew_from_an_index(tool: ModuleType, ready_index: Path) -> None:
    written = tool.write(PAGE, ready_index)
    assert [sql for sql, _ in tool.blocks(written)] == [sql for sql, _ in tool.blocks(PAGE)]
    assert tool.write(written, ready_index) == written


def test_python_runs_as_it_stands(ready_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo.clipdb").symlink_to(ready_index)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert names["alike"] is not None and names["answer"] is not None
