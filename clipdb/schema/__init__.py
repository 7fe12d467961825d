"""What an index stores: tables, vector columns, views and migrations.

The tables are SQLAlchemy's and come when they are first asked for, so importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipdb.schema.tables import (
        batches,
        directions,
        effects,
        image_failures,
        images,
        judgements,
        label_scores,
        labels,
        metadata,
        pairs,
        pool_texts,
        pools,
        runs,
        spans,
        texts,
    )
    from clipdb.schema.tables_of_models import (
        aligners,
        bases,
        clipdb_schema,
        components,
        head_pairs,
        head_statistics,
        heads,
        models,
        property_index_parts,
        property_indexes,
    )

__all__ = [
    "aligners",
    "bases",
    "batches",
    "clipdb_schema",
    "components",
    "directions",
    "effects",
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
    "pairs",
    "pool_texts",
    "pools",
    "property_index_parts",
    "property_indexes",
    "runs",
    "spans",
    "texts",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        tables, of_models = (importlib.import_module(f"clipdb.schema.{one}") for one in ("tables", "tables_of_models"))
        return getattr(tables if hasattr(tables, name) else of_models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
