"""What is behind an error of DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from clipdb.errors import ClipdbError
from clipdb.schema.connections import was_interrupted

if TYPE_CHECKING:
    from clipdb.queries.functions.base.context import Context
    from clipdb.queries.place import Place


def reason(error: BaseException, context: Context | None, place: Place) -> BaseException:
    """Find what a function raised, Ctrl-C, or what is wrong with the place; else give the error itself.

    Parameters
    ----------
    error
        What a statement raised.
    context
        The context of the table functions, if they are in use.
    place
        What was asked.
    """
    if was_interrupted(error):
        from clipdb._util.apart import let_go

        let_go()  # a thread of DuckDB's may wait for a model
        return KeyboardInterrupt()
    if not isinstance(error, Exception) or isinstance(error, ClipdbError):
        return error
    cause = context.error if context is not None else None
    if cause is not None and isinstance(error, duckdb.InvalidInputException) and type(cause).__name__ in str(error):
        return cause
    if place.is_about(error):
        return place.unreadable(error)
    return error
