"""CSV with tabs: a value that holds a tab, a quote or a line break is in double quotes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from clipdb.cli.show.formats import csv
from clipdb.cli.show.formats._values import Row

SUFFIXES = (".tsv",)


def write(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write a header and rows, as CSV does."""
    csv.write(names, rows, json_columns, stream, delimiter="\t")
