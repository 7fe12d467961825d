"""A table of image files: CSV, JSON lines or Parquet with a column of paths, and what else is known of each image."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.expand import resolved
from clipdb.ingest.images.sources.files import folder_of, is_file, open_text, parquet_file, raise_failure
from clipdb.ingest.images.sources.item import SourceItem, clean, failed_item, file_item, is_image
from clipdb.ingest.images.sources.kinds import parquet_shards
from clipdb.ingest.images.sources.source import Source

PATHS = ("path", "file", "filepath", "file_name")
"""Names of the column that holds paths, in any case."""

_MOST_FIELD = 10 * 2**20  # characters of one cell; the csv module's own limit is 131,072
_ROWS = 1024

Row = dict[str, Any]


class AnnotatedList(Source):
    """The images that a table names, each with its label, split and metadata.

    Paths are relative to the table's folder. The columns ``label`` and ``split`` are what they say, every other column
    is metadata: text from CSV, typed values from JSON lines and Parquet. Empty cells say nothing.

    Parameters
    ----------
    path
        A file whose suffix is in `READERS`.

    Raises
    ------
    ClipdbError
        When it can't be read as what its suffix says, has no column of paths, or no row.
    """

    listed = True

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._rows = READERS[Path(path).suffix.lower()]
        self._base = folder_of(path)
        self.total = 0
        for _, row in self._numbered():
            self._column(row)
            self.total += 1
        if not self.total:
            raise ClipdbError(f"{path} names no images: write one row per image")

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a file is a table of paths: Parquet may hold images, and a plain list may be called CSV."""
        suffix = Path(path).suffix.lower()
        if suffix not in READERS or not is_file(path):
            return False
        if suffix in parquet_shards.ParquetFile.suffixes:
            try:
                schema = pq.read_schema(parquet_file(path))
            except (pa.ArrowException, OSError) as error:
                raise_failure(path, error)
                return False
            return any(name.lower() in PATHS for name in schema.names) and not any(
                map(parquet_shards.holds_bytes, schema.types)
            )
        if suffix == ".csv":
            with open_text(path, encoding="utf-8-sig", errors="replace") as file:
                first = file.readline().strip()
            return "," in first or not is_image(first)
        return True

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images in the table's order; a row without a path is an item that fails."""
        for number, row in self._numbered():
            place = f"{clean(self.path)}#row={number}"
            facts = {name: value for name, value in row.items() if value is not None and value != ""}
            name = facts.pop(self._column(row), None)
            if name is None:
                yield failed_item(place, "the row has no path")
                continue
            try:
                item = file_item(resolved(str(name).strip(), self._base))
            except ClipdbError as error:
                yield failed_item(place, str(error))
                continue
            label, split = (_text(facts.pop(key, None)) for key in ("label", "split"))
            yield SourceItem(item.uri, item.read, label, split, facts or None, item.parent)

    def _numbered(self) -> Iterator[tuple[int, Row]]:
        """Yield the rows anew on every pass, counted from 1."""
        try:
            yield from enumerate(self._rows(self.path), start=1)
        except UnicodeDecodeError as error:
            raise ClipdbError(f"{self.path} is not UTF-8: save it as UTF-8") from error
        except (OSError, pa.ArrowException, csv.Error) as error:
            raise_failure(self.path, error)
            raise ClipdbError(f"{self.path} can't be read: {parquet_shards.one_line(error)}") from error

    def _column(self, row: Row) -> str:
        """Return the name of the row's column of paths."""
        for wanted in PATHS:
            for name in row:
                if name.lower() == wanted:
                    return name
        raise ClipdbError(
            f"{self.path} has no column {', '.join(PATHS[:-1])} or {PATHS[-1]} (its columns: {', '.join(row)}): "
            "name the column of paths `path`"
        )


def _csv_rows(path: str) -> Iterator[Row]:
    with open_text(path, encoding="utf-8-sig", newline="") as file, _long_fields():
        reader = csv.reader(file, delimiter="\t" if path.lower().endswith(".tsv") else ",", strict=True)
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise ClipdbError(f"{path} has the column {twice!r} twice: keep one of them")
        for fields in reader:
            if len(fields) > len(header):
                raise ClipdbError(
                    f"{path} line {reader.line_num} has {len(fields)} fields and its header {len(header)}: "
                    "put cells that hold commas in double quotes"
                )
            if any(field.strip() for field in fields):
                yield dict(zip(header, fields + [""] * (len(header) - len(fields)), strict=True))


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let Python's reader of CSV take longer fields, which it does for the whole process."""
    before = csv.field_size_limit(_MOST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _json_rows(path: str) -> Iterator[Row]:
    with open_text(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ClipdbError(f"{path} line {number} is not JSON: write one object per line") from error
            if not isinstance(row, dict):
                raise ClipdbError(f"{path} line {number} is not an object: write one object per line")
            yield row


def _parquet_rows(path: str) -> Iterator[Row]:
    with pq.ParquetFile(parquet_file(path), pre_buffer=False) as file:
        names = [field.name for field in file.schema_arrow if parquet_shards.is_scalar(field.type)]
        for batch in file.iter_batches(batch_size=_ROWS, columns=names, use_threads=False):
            for row in batch.to_pylist():
                yield {
                    name: None if value is None else parquet_shards.plain_value(value) for name, value in row.items()
                }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


READERS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".parquet": _parquet_rows,
    ".pq": _parquet_rows,
}
"""How tables are read, by suffix."""


SOURCE = AnnotatedList
