"""What a person wrote for a named query, as the values that its SQL takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.queries.named.parameters import convert, require_utf8
from clipdb.queries.named.sql_files import NamedQuery
from clipdb.queries.resolve import Ask, require_rows, resolve


def bind(
    ask: Ask,
    query: NamedQuery,
    given: Mapping[str, Any],
    model: str | None,
    files: bool = True,
) -> dict[str, Any]:
    """Work out the value of each of a named query's parameters.

    Parameters
    ----------
    ask
        Runs SQL on the index.
    query
        The query.
    given
        Values by parameter name; None counts as left out.
    model
        The model to ask about if none is given.
    files
        Whether an image may be a file.

    Raises
    ------
    ClipdbError
        If a value is missing, unknown, of the wrong type or not in the index, or a table is still empty.
    """
    names = [parameter.name for parameter in query.parameters]
    if unknown := sorted(set(given) - set(names)):
        raise ClipdbError(f"{query.command} has no parameter {unknown[0]!r}: it takes {', '.join(names) or 'none'}")
    values = {parameter.name: convert(parameter, given.get(parameter.name)) for parameter in query.parameters}
    for parameter in query.parameters:
        if values[parameter.name] is None:
            values[parameter.name] = model if parameter.name == "model" else parameter.default
        if values[parameter.name] is None and parameter.required and parameter.type != "model":
            raise ClipdbError(f"{query.command} needs {parameter.option}: {parameter.help}")
    require_utf8(values.values())
    require_rows(ask, query.needs)
    # The model comes first: heads and properties are looked up in it.
    for parameter in sorted(query.parameters, key=lambda parameter: parameter.type != "model"):
        value = values[parameter.name]
        if value is not None or parameter.required:
            values[parameter.name] = resolve(ask, parameter.type, value, values.get("model"), files)
    return values
