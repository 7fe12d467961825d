"""Values of DuckDB's as text formats have them. What would steer a terminal JSON writes as ``\\uXXXX``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from clipdb._util.json_values import as_json
from clipdb._util.text import escaped

Row = tuple[Any, ...]


def objects(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool]) -> Iterator[str]:
    """Write each row as a JSON object."""
    for row in rows:
        values = [
            json.loads(value) if is_json and value is not None else as_json(value)
            for value, is_json in zip(row, json_columns, strict=True)
        ]
        yield escaped(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False))
