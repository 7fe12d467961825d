"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from clipdb._util.text import printable
from clipdb.cli.show.formats._values import Row

SUFFIXES = (".md",)


def write(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write a Markdown table: all columns, numbers as a terminal shows them, texts and ids whole."""
    from clipdb.cli.show.table import texts

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"

    cells, numeric = texts(names, list(rows), whole_ids=True)
    stream.write(line([printable(name) for name in names]))
    stream.write(line(["---:" if right else "---" for right in numeric]))
    for row in cells:
        stream.write(line(row))
