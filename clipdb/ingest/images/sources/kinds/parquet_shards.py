"""Parquet files with an image column, as Hugging Face datasets writes them; streamed in row batches."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.expand import resolved
from clipdb.ingest.images.sources.files import folder_of, parquet_file, raise_failure
from clipdb.ingest.images.sources.item import (
    SourceItem,
    bytes_item,
    clean,
    failed_item,
    file_item,
    parent_of,
    split_of,
)
from clipdb.ingest.images.sources.source import Source

_NAMES = ("image", "img", "jpg", "jpeg", "png", "bytes", "image_bytes", "picture", "photo")
_LABELS = ("label", "labels", "class", "cls", "category", "fine_label")
_ROW = "row="
_ROWS = 16  # a batch: a few MB of photographs
_BUFFER = 2**20


class ParquetFile(Source):
    """The images in the Parquet file `path`.

    The image column is binary or ``struct<bytes, path>``, found by Hugging Face's own schema, by name or by
    type. A label column gives labels (class names where the schema has them), ``split`` the split; other scalar
    columns are metadata.

    Raises
    ------
    ClipdbError
        When the file is no Parquet file or has no image column.
    """

    suffixes = (".parquet", ".pq")
    # After tables of paths, which may be Parquet, and after tars, beside each of which img2dataset writes its captions.
    order = 2

    def __init__(self, path: str) -> None:
        super().__init__(path)
        try:
            with pq.ParquetFile(parquet_file(path)) as file:
                self.total = file.metadata.num_rows
                schema = file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise_failure(path, error)
            raise ClipdbError(f"{path} is not a readable Parquet file: {one_line(error)}") from None
        features = _features(schema)
        self._image = _image_column(schema, features, path)
        self._label = next((n for n, f in features.items() if f.get("_type") == "ClassLabel"), None) or next(
            (n for n in _LABELS if n in schema.names and is_scalar(schema.field(n).type)), None
        )
        names = features.get(self._label or "", {}).get("names")
        self._classes: list[str] = names if isinstance(names, list) else []
        self._columns = [f.name for f in schema if is_scalar(f.type) or f.name == self._image]

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images in row order; damage is an item that fails, after all images before it."""
        return self.rows_of(None, 0)

    def shards(self) -> Iterator[Source]:
        """Yield the row groups, one by one."""
        with pq.ParquetFile(parquet_file(self.path)) as file:
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        first = 0
        for group, size in enumerate(sizes):
            yield _RowGroup(self, group, first, size)
            first += size

    def rows_of(self, groups: list[int] | None, row: int) -> Iterator[SourceItem]:
        """Yield the images of some row groups, None for all, of which the first begins at a row of the file."""
        uri, split = clean(self.path), split_of(PurePosixPath(self.path).name)
        try:
            # the defaults hold a whole row group, often the whole file; so it is a page or two
            with pq.ParquetFile(parquet_file(self.path), buffer_size=_BUFFER, pre_buffer=False) as file:
                for batch in file.iter_batches(_ROWS, groups, self._columns, use_threads=False):
                    for values in _rows(batch):
                        yield self._item(f"{uri}#{_ROW}{row}", values, split)
                        row += 1
        except Exception as error:  # damaged pages raise nearly anything, text that is no UTF-8 too
            raise_failure(self.path, error)
            yield failed_item(uri, f"the file cannot be read from row {row} on: {one_line(error)}")

    def read(self, part: str) -> bytes | None:
        """Read the image in one row, ``row=17``.

        Raises
        ------
        ClipdbError
            When the file has no such row, or no image in it.
        """
        if not (part.startswith(_ROW) and part[len(_ROW) :].isdecimal()):
            return None
        row, first = int(part[len(_ROW) :]), 0
        with pq.ParquetFile(parquet_file(self.path), buffer_size=_BUFFER, pre_buffer=False) as file:
            group = 0
            while group < file.num_row_groups and first + file.metadata.row_group(group).num_rows <= row:
                first += file.metadata.row_group(group).num_rows
                group += 1
            if group < file.num_row_groups:
                rows = file.iter_batches(_ROWS, row_groups=[group], columns=[self._image], use_threads=False)
                for batch in rows:
                    if row < first + len(batch):
                        return self._item(self.path, _rows(batch.slice(row - first, 1))[0], None).read()
                    first += len(batch)
        raise ClipdbError(f"{self.path} has no row {row}")

    def _item(self, uri: str, values: dict[str, Any], split: str | None) -> SourceItem:
        """Return one row's image."""
        image, label = values.pop(self._image), values.pop(self._label, None) if self._label else None
        split = str(values.pop("split", None) or split or "") or None
        metadata = {name: plain_value(value) for name, value in values.items() if value is not None}
        data, path = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
        path = path if isinstance(path, str) else None
        facts: dict[str, Any] = {"label": self._name(label), "split": split, "metadata": metadata or None}
        if data is not None:
            if path:
                facts["metadata"] = {"path": path, **metadata}
            return bytes_item(uri, data, parent=parent_of(path) if path else None, **facts)
        if path is None:
            return failed_item(uri, "the row has no image")
        outside = file_item(resolved(path, folder_of(self.path)))
        return SourceItem(outside.uri, outside.read, parent=outside.parent, **facts)

    def _name(self, label: Any) -> str | None:
        """Return a label as text; Hugging Face writes -1 for an unknown class."""
        if isinstance(label, int) and not isinstance(label, bool) and self._classes:
            return str(self._classes[label]) if 0 <= label < len(self._classes) else None
        return None if label is None else str(label)


class _RowGroup(Source):
    """The images in one row group of a file."""

    def __init__(self, file: ParquetFile, group: int, first: int, total: int) -> None:
        super().__init__(file.path)
        self._file, self._group, self._first, self.total = file, group, first, total

    def __iter__(self) -> Iterator[SourceItem]:
        return self._file.rows_of([self._group], self._first)


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows by column; a value that Python has none for, as a date of the year 300,000, is null."""
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(cell) for cell in column]


def _value(cell: pa.Scalar) -> Any:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        return None


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return Hugging Face's description of the columns, by name; empty where there is none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _image_column(schema: pa.Schema, features: dict[str, dict[str, Any]], path: str) -> str:
    """Name the column that holds image bytes."""
    fit = [field.name for field in schema if holds_bytes(field.type)]
    for name in [n for n, f in features.items() if f.get("_type") == "Image"] + [
        n for wanted in _NAMES for n in fit if n.lower() == wanted
    ]:
        if name in fit:
            return name
    structs = [name for name in fit if pa.types.is_struct(schema.field(name).type)]
    if len(structs) == 1 or len(fit) == 1:
        return (structs if len(structs) == 1 else fit)[0]
    raise ClipdbError(
        f"{path} has no column that is plainly the image (its columns: {', '.join(schema.names)}): "
        "name the column of image bytes `image`"
    )


def holds_bytes(kind: pa.DataType) -> bool:
    """Return whether a column is binary or a struct with a binary field ``bytes``."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and holds_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def is_scalar(kind: pa.DataType) -> bool:
    """Return whether a column's values go into JSON as they are."""
    return not (pa.types.is_nested(kind) or holds_bytes(kind) or pa.types.is_fixed_size_binary(kind))


def plain_value(value: Any) -> Any:
    """Return a scalar as JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (str, int, float, bool)):
        return value
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)


def one_line(error: Exception) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())


SOURCE = ParquetFile
