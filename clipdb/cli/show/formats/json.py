"""JSON: one array of objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from clipdb.cli.show.formats._values import Row, objects

SUFFIXES = (".json",)


def write(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write one array of objects, an object a line."""
    start = "["
    for line in objects(names, rows, json_columns):
        stream.write(f"{start}{line}")
        start = ",\n "
    stream.write("]\n" if start != "[" else "[]\n")
