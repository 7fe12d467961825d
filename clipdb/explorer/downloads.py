"""Rows as files to take along."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from io import BytesIO, StringIO
from typing import Any

from starlette.responses import Response

from clipdb._util.json_values import as_json

_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def as_file(form: str, name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> Response:
    """Return rows as a file that a browser saves.

    Parameters
    ----------
    form
        A key of `FILES`.
    name
        The file's, without suffix.
    columns, rows
        What is in it.
    """
    kind, write = FILES[form]
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(write(columns, rows), media_type=kind, headers=headers)


def _csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_field(row[column]) for column in columns] for row in rows)
    return text.getvalue().encode()


def _field(value: Any) -> Any:
    value = as_json(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_BEGIN_FORMULAS):
        return f"'{value}"  # or a spreadsheet would run what a text says
    return value


def _parquet(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = BytesIO()
    pq.write_table(pa.table({column: [row[column] for row in rows] for column in columns}), made)
    return made.getvalue()


FILES: dict[str, tuple[str, Callable[[Sequence[str], Sequence[dict[str, Any]]], bytes]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "parquet": ("application/vnd.apache.parquet", _parquet),
}
"""Form -> media type and writer."""
