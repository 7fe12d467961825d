"""Run the statements of docs/sql.md on an index and write down what they print.

    clipdb demo /tmp/demo && python tools/run_sql_docs.py /tmp/demo/demo.clipdb

A block of SQL is followed by a block of text, its output. The table of functions is `tools/generate_docs.py`'s.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import clipdb
from clipdb.cli.show.table import render

PAGE = Path(__file__).parents[1] / "docs" / "sql.md"
WIDTH = 120

_BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Find the statements of a page, each with the output that is printed below it."""
    for match in _BLOCK.finditer(page):
        yield match["sql"], match["output"]


def write(page: str, index: Path) -> str:
    """Give the page with the outputs of an index."""
    with clipdb.open(index) as db:

        def run(match: re.Match[str]) -> str:
            result = db.sql(match["sql"])
            output = render(result.columns, result.fetchall(), WIDTH).rstrip("\n")
            return f"```sql\n{match['sql']}```\n\n```text\n{output}\n```"

        return _BLOCK.sub(run, page)


if __name__ == "__main__":
    PAGE.write_text(write(PAGE.read_text(encoding="utf-8"), Path(sys.argv[1])), encoding="utf-8")
