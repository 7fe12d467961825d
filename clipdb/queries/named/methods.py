"""The named queries of an index as methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import duckdb

from clipdb.errors import ClipdbError
from clipdb.queries.named.sql_files import NamedQuery, find_query, query_names


class Askable(Protocol):
    """As much of an index as a named query takes."""

    folders: tuple[Path, ...]

    def bind(self, query: NamedQuery, given: Mapping[str, Any]) -> dict[str, Any]:
        """Work out the value of each of a query's parameters."""

    def sql(self, query: str, **params: Any) -> duckdb.DuckDBPyRelation:
        """Ask in SQL."""


class Queries:
    """The named queries of an index, each a method that takes its parameters by name or in order."""

    def __init__(self, index: Askable) -> None:
        self._index = index

    def __dir__(self) -> list[str]:
        return query_names(self._index.folders)

    def __getattr__(self, name: str) -> Callable[..., duckdb.DuckDBPyRelation]:
        if name.startswith("_"):
            raise AttributeError(name)
        query = find_query(name, self._index.folders)

        def ask(*values: Any, **params: Any) -> duckdb.DuckDBPyRelation:
            names = [parameter.name for parameter in query.parameters]
            if len(values) > len(names):
                raise ClipdbError(f"{query.command} takes {len(names)} parameters and {len(values)} were given")
            bound = self._index.bind(query, {**dict(zip(names, values, strict=False)), **params})
            sql, given = query.statement(bound)
            return self._index.sql(sql, **given)

        ask.__name__ = ask.__qualname__ = query.name
        ask.__doc__ = "\n\n".join(
            part
            for part in (
                query.title,
                query.description,
                "\n".join(f"{parameter.name}: {parameter.help}" for parameter in query.parameters),
            )
            if part
        )
        return ask
