"""Values of DuckDB's as JSON has them."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any


def as_json(value: Any) -> Any:
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
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)
