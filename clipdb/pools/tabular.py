"""A person's own CSV or Parquet file as rows, with errors that say what to change and on which line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = frozenset({".parquet", ".pq"})
"""Endings of Parquet files."""


def read_bytes(path: Path, endings: Collection[str], wanted: str) -> bytes:
    """Read a file whose ending is one of some.

    Parameters
    ----------
    path
        The file.
    endings
        Endings in small letters, with their dot.
    wanted
        What to give instead, for messages: ``a .csv or .parquet file of spans``.

    Raises
    ------
    ClipdbError
        Another ending, no such file, a directory, or a file that can't be read.
    """
    if path.suffix.lower() not in endings:
        raise ClipdbError(f"cannot tell what {path} holds: give {wanted}")
    if path.is_dir():
        raise ClipdbError(f"{path} is a directory: give {wanted}")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ClipdbError(f"no file {path}: give {wanted}", kind="absent") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClipdbError(f"cannot read {path}: {reason}") from error


def decode(path: Path, data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises
    ------
    ClipdbError
        If it is none, naming the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # `object` is what was decoded: without the mark, which holds no line break.
        line = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        raise ClipdbError(f"{path} is not UTF-8: line {line} holds the byte 0x{byte:02x}; save it as UTF-8") from None
    if "\0" in text:
        # UTF-16 without its mark decodes as UTF-8 when it holds ASCII only.
        line = text[: text.index("\0")].count("\n") + 1
        raise ClipdbError(f"{path} is not text: line {line} holds a zero byte; save it as UTF-8")
    return text


def csv_rows(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the header of a CSV file, then its rows, each with the number of the line that it ends on.

    A row may have fewer fields than the header, and none where the line is blank.

    Raises
    ------
    ClipdbError
        If the file is not UTF-8 or not CSV, or a row has more fields than the header.
    """
    reader = csv.reader(io.StringIO(decode(path, data), newline=""), strict=True)
    try:
        header = next(reader, [])
        yield reader.line_num, header
        for fields in reader:
            if len(fields) > len(header):
                # A comma in a text that is not quoted: reading on would cut the text and invent a value.
                raise ClipdbError(
                    f"{path} line {reader.line_num} has {len(fields)} fields, its header {len(header)}: "
                    "put texts that hold commas in double quotes"
                )
            yield reader.line_num, fields
    except csv.Error as error:
        raise ClipdbError(f"{path} line {reader.line_num} is not CSV ({error}): repair or quote it") from error


def parquet_columns(path: Path, data: bytes, choose: Callable[[Sequence[str]], Sequence[int]]) -> pa.Table:
    """Read some columns of a Parquet file, in the order in which they are chosen.

    Parameters
    ----------
    path, data
        The file, and its bytes.
    choose
        Gives the places of the columns wanted among the names of all.

    Raises
    ------
    ClipdbError
        If the file is not whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        wanted = [names[place] for place in choose(names)]
        table = file.read(columns=wanted).select(wanted)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise ClipdbError(f"{path} is not a whole Parquet file ({first_line(error)}): write it again") from error
    return table


def text_rows(
    path: Path, data: bytes, choose: Callable[[Sequence[str]], Sequence[int]]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the cells of some columns as text without white space around it, empty where there is nothing.

    Parameters
    ----------
    path, data
        A Parquet file by its ending, else CSV, and its bytes.
    choose
        Gives the places of the columns wanted among the names of all.

    Yields
    ------
    tuple
        Where the row is, for messages, and its cells. Rows without any cell are left out.

    Raises
    ------
    ClipdbError
        As `csv_rows` and `parquet_columns`, or a column that is no plain value.
    """
    if path.suffix.lower() in PARQUET:
        unit = "row"
        table = parquet_columns(path, data, choose)
        rows: Iterator[tuple[int, Sequence[str]]] = enumerate(_texts(path, table), start=1)
    else:
        unit = "line"
        lines = csv_rows(path, data)
        places = choose(next(lines)[1])
        rows = ((line, [row[at] if at < len(row) else "" for at in places]) for line, row in lines)
    for number, cells in rows:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield f"{path} {unit} {number}", stripped


def _texts(path: Path, table: pa.Table) -> Iterator[Sequence[str]]:
    import pyarrow as pa

    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(column.cast(pa.string()).fill_null("").to_pylist())
        except pa.ArrowException:
            raise ClipdbError(f"{path}: column {name!r} is {column.type}: store it as text or numbers") from None
    return zip(*columns, strict=True)
