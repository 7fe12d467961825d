"""CSV, exact: numbers in full; it has no escapes, so what would steer a terminal stays as it is."""

from __future__ import annotations

import csv
import decimal
import json
import math
from collections.abc import Iterator, Sequence
from typing import IO, Any

from clipdb._util.json_values import as_json
from clipdb._util.text import escaped
from clipdb.cli.show.formats._values import Row

SUFFIXES = (".csv",)


class _Lines:
    """Takes lines that end in ``\\r\\n``, one at a time, and ends them in a line feed."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(f"{line[:-2]}\n")


def write(
    names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str], delimiter: str = ","
) -> None:
    """Write a header and rows; nulls are empty, lists and structs are JSON."""
    # Python quotes a cell for a line break in it only if lines end so: with \r\n, both that a reader may stop at.
    writer = csv.writer(_Lines(stream), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return escaped(json.dumps(as_json(value), ensure_ascii=False))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, decimal.Decimal) else as_json(value)
