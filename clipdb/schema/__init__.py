"""What an index stores: tables, vector columns, views and migrations.

The tables are SQLAlchemy's and come when they are first asked for, so importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipdb.schema.tables import (
        aligners,
        bases,
        batches,
        clipdb_schema,
        head_pairs,
        head_statistics,
        heads,
        image_failures,
        images,
        judgements,
        label_scores,
        labels,
        metadata,
        models,
        pool_texts,
        pools,
        runs,
        spans,
        texts,
    )

__all__ = [
    "aligners",
    "bases",
    "batches",
    "clipdb_schema",
    "head_pairs",
    "head_statistics",
    "heads",
    "image_failures",
    "images",
    "judgements",
    "label_scores",
    "labels",
    "metadata",
    "models",
    "pool_texts",
    "pools",
    "runs",
    "spans",
    "texts",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("clipdb.schema.tables"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
