"""Which two models a comparison is of."""

from __future__ import annotations

from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.table_function import Rows, table_function
from clipdb.queries.functions.base.two_models import two_models


@table_function(a="VARCHAR", b="VARCHAR")
def compared_models(context: Context, a: str | None = None, b: str | None = None) -> Rows:
    """Choose two models to compare: those asked for, or the only two, a base before its fine-tune."""
    return [two_models(context, a, b)]


FUNCTION = compared_models
