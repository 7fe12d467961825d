"""Values of DuckDB's as text formats have them. What would steer a terminal JSON writes as ``\\uXXXX``."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from clipdb._util.text import escaped

Row = tuple[Any, ...]


def plain(value: Any) -> Any:
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
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)


def objects(names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool]) -> Iterator[str]:
    """Write each row as a JSON object."""
    for row in rows:
        values = [
            json.loads(value) if is_json and value is not None else plain(value)
            for value, is_json in zip(row, json_columns, strict=True)
        ]
        yield escaped(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False))
