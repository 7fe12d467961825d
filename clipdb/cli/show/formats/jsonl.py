"""JSON lines: an object per line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from clipdb.cli.show.formats._values import Row, objects

SUFFIXES = (".jsonl", ".ndjson")


def write(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write an object a line."""
    for line in objects(names, rows, json_columns):
        stream.write(f"{line}\n")
