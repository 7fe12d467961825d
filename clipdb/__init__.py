"""clipdb: every attention head of a CLIP-like model is a row.

`clipdb.open(path)` opens an index for questions; `clipdb.segment` shows where in a picture its heads find a text;
`clipdb.schema` has its tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipdb import schema
    from clipdb.api.opening import open
    from clipdb.api.segmenting import segment
    from clipdb.errors import ClipdbError
    from clipdb.queries.index import Index

__version__ = "0.1.0"
__all__ = ["ClipdbError", "Index", "__version__", "open", "schema", "segment"]

_FROM = {
    "ClipdbError": "clipdb.errors",
    "Index": "clipdb.queries.index",
    "open": "clipdb.api.opening",
    "segment": "clipdb.api.segmenting",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that importing clipdb costs nothing."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    if name == "schema":
        return importlib.import_module("clipdb.schema")
    raise AttributeError(f"module 'clipdb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
