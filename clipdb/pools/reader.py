"""Read a person's own file of descriptions: text, CSV or Parquet, with errors that say what to change."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clipdb.errors import ClipdbError
from clipdb.pools.tabular import PARQUET, csv_rows, decode, parquet_columns, read_bytes

Row = tuple[str | None, str | None]


class PoolText(NamedTuple):
    """A description, and the property that it is about where that is known."""

    text: str
    property: str | None = None


class Reading(NamedTuple):
    """What a file gave: the descriptions in file order, and how many rows were left out and why."""

    texts: list[PoolText]
    duplicates: int
    empty: int


def read_counted(path: str | Path) -> Reading:
    """Read descriptions from a file, counting what was left out.

    The ending says the format: ``.csv``, ``.parquet`` (or ``.pq``), and ``.txt`` or no ending at all for a
    line a description. Text and property lose the white space around them. A text that occurred before is
    left out, with its property, and so is an empty one.

    Parameters
    ----------
    path
        The file. CSV and Parquet need a column ``text`` and may have ``property``; other columns are ignored.

    Raises
    ------
    ClipdbError
        No such file, a directory, an ending that says nothing, not UTF-8, damaged, no ``text`` column, or no
        description in it.
    """
    path = Path(path)
    ending = path.suffix.lower()
    data = read_bytes(path, {"", ".txt", ".csv", *PARQUET}, "a .txt, .csv or .parquet file of descriptions")
    if not data:
        raise ClipdbError(f"{path} is empty: write one description per line into it")
    if ending in PARQUET:
        rows = _parquet_rows(path, data)
    elif ending == ".csv":
        rows = _csv_rows(path, data)
    else:
        rows = ((line, None) for line in io.StringIO(decode(path, data), newline=None))
    reading = _collect(rows)
    if not reading.texts:
        raise ClipdbError(f"{path} holds no description: every row of it is empty")
    return reading


def read(path: str | Path) -> list[PoolText]:
    """Read descriptions from a file: `read_counted` without the counts.

    Raises
    ------
    ClipdbError
        As `read_counted`.
    """
    return read_counted(path).texts


def _collect(rows: Iterable[Row]) -> Reading:
    kept: dict[str, PoolText] = {}
    duplicates = empty = 0
    for raw, raw_property in rows:
        text = (raw or "").strip()
        if not text:
            empty += 1
        elif text in kept:
            duplicates += 1
        else:
            kept[text] = PoolText(text, (raw_property or "").strip() or None)
    return Reading(list(kept.values()), duplicates, empty)


def _csv_rows(path: Path, data: bytes) -> Iterator[Row]:
    rows = csv_rows(path, data)
    text_at, property_at = _columns(path, next(rows)[1])
    for _, fields in rows:
        yield _field(fields, text_at), _field(fields, property_at)


def _field(fields: Sequence[str], at: int | None) -> str | None:
    return fields[at] if at is not None and at < len(fields) else None


def _parquet_rows(path: Path, data: bytes) -> Iterator[Row]:
    import pyarrow as pa

    table = parquet_columns(path, data, lambda names: [at for at in _columns(path, names) if at is not None])
    columns: list[list[str | None]] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)):
            raise ClipdbError(f"{path}: column {name!r} is {kind}, not text: store it as a string column")
        columns.append(column.to_pylist())
    properties = columns[1] if len(columns) > 1 else [None] * table.num_rows
    yield from zip(columns[0], properties, strict=True)


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int | None]:
    """Return the places of ``text`` and ``property`` in a header, case and white space aside."""
    names = [name.strip().casefold() for name in header]
    if "text" not in names:
        found = ", ".join(header) or "none"
        raise ClipdbError(f"{path} has no column 'text' (its columns: {found}): name the descriptions' column 'text'")
    return names.index("text"), names.index("property") if "property" in names else None
