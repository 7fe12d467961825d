"""Results as JSON, JSON lines, CSV and Markdown.

JSON and CSV are exact. JSON writes what would steer a terminal as ``\\uXXXX``; CSV, which has no escapes, as it is.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from clipdb._util.text import escaped, printable

Row = tuple[Any, ...]


def _plain(value: Any) -> Any:
    """Turn a value of DuckDB's into one that JSON has; what is not a number (NaN, infinity) is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)


def _objects(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool]) -> Iterator[str]:
    for row in rows:
        values = [
            json.loads(value) if is_json and value is not None else _plain(value)
            for value, is_json in zip(row, json_columns, strict=True)
        ]
        yield escaped(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False))


def write_json(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write one array of objects, an object a line."""
    start = "["
    for line in _objects(names, rows, json_columns):
        stream.write(f"{start}{line}")
        start = ",\n "
    stream.write("]\n" if start != "[" else "[]\n")


def write_jsonl(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write an object a line."""
    for line in _objects(names, rows, json_columns):
        stream.write(f"{line}\n")


class _Lines:
    """Takes lines that end in ``\\r\\n``, one at a time, and ends them in a line feed."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(f"{line[:-2]}\n")


def write_csv(
    names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str], delimiter: str = ","
) -> None:
    """Write a header and rows; nulls are empty, lists and structs are JSON."""
    # Python quotes a cell for a line break in it only if lines end so: with \r\n, both that a reader may stop at.
    writer = csv.writer(_Lines(stream), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])


def write_tsv(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write what `write_csv` does with tabs: a value that holds a tab, a quote or a line break is in double quotes."""
    write_csv(names, rows, json_columns, stream, delimiter="\t")


def write_markdown(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], stream: IO[str]) -> None:
    """Write a Markdown table: all columns, numbers as a terminal shows them, texts and ids whole."""
    from clipdb.cli.show.table import texts

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"

    cells, numeric = texts(names, list(rows), whole_ids=True)
    stream.write(line([printable(name) for name in names]))
    stream.write(line(["---:" if right else "---" for right in numeric]))
    for row in cells:
        stream.write(line(row))


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return escaped(json.dumps(_plain(value), ensure_ascii=False))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, decimal.Decimal) else _plain(value)


WRITERS: dict[str, Callable[[Sequence[str], Iterator[Row], Sequence[bool], IO[str]], None]] = {
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "tsv": write_tsv,
    "markdown": write_markdown,
}
