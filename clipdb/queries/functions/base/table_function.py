"""A table function in SQL that Python computes: a vectorised function that returns rows, and a macro that unnests them.

It takes constants, parameters, subqueries and, through LATERAL, columns of other tables.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context

Arguments = tuple[Any, ...]
Rows = Sequence[tuple[Any, ...]]

_ARROW = {
    "VARCHAR": pa.utf8(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
}


@dataclass(frozen=True)
class TableFunction:
    """A table function.

    Attributes
    ----------
    name
        As SQL calls it.
    parameters
        SQL type by name, in order.
    defaults
        SQL literal by name of the parameters that may be left out; the last ones.
    columns
        SQL type by name of what it returns.
    compute
        From the context and a batch of calls, each call's rows. Calls with equal arguments come once.
    needed
        Parameters that can't be null: a call with a null in one of them has no rows.
    """

    name: str
    parameters: Mapping[str, str]
    columns: Mapping[str, str]
    compute: Callable[[Context, Sequence[Arguments]], Sequence[Rows]]
    defaults: Mapping[str, str]
    needed: Sequence[str] = ()

    def register(self, connection: duckdb.DuckDBPyConnection, context: Context, opened: int) -> None:
        """Register the function on a connection.

        Parameters
        ----------
        connection, context
            An open catalog, and what the function computes from.
        opened
            A number of this opening's own. Connections to one file share what Python computes, but not their macros.
        """
        computed = f"clipdb_{self.name}_{opened}"
        fields = ", ".join(f"{name} {kind}" for name, kind in self.columns.items())
        connection.create_function(  # type: ignore[call-overload]
            computed,
            self._in_sql(context),
            list(self.parameters.values()),
            f"STRUCT({fields})[]",
            type="arrow",
            null_handling="special",
        )
        # In quotes, since a parameter may be called `like`.
        signature = ", ".join(
            f'"{name}" := {self.defaults[name]}' if name in self.defaults else f'"{name}"' for name in self.parameters
        )
        arguments = ", ".join(f'"{name}"' for name in self.parameters)
        connection.execute(
            f"create or replace temp macro {self.name}({signature}) as table "
            f"select unnest({computed}({arguments}), recursive := true)"
        )

    def rows(self, context: Context, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Answer one call without SQL.

        Parameters
        ----------
        given
            Arguments by name; those that may be left out take their defaults.

        Returns
        -------
        list of dict
            A row each, by column.

        Raises
        ------
        ClipdbError
            If an argument is missing, unknown or of another type, or the question has no answer.
        """
        if unknown := sorted(set(given) - set(self.parameters)):
            raise ClipdbError(f"{self.name} has no parameter {unknown[0]!r}: it takes {', '.join(self.parameters)}")
        defaults = {name: _literal(sql) for name, sql in self.defaults.items()}
        values = {name: self._value(name, given.get(name, defaults.get(name))) for name in self.parameters}
        for name in self.needed:
            if values[name] is None:
                raise ClipdbError(f"{self.name} needs {name}")
        found = self.compute(context, [tuple(values.values())])[0]
        return [dict(zip(self.columns, row, strict=True)) for row in found]

    def _value(self, name: str, value: Any) -> Any:
        """Convert an argument to its type in SQL."""
        kind = self.parameters[name]
        try:
            return pa.scalar(str(value) if isinstance(value, Path) else value, _ARROW[kind]).as_py()
        except (TypeError, ValueError, OverflowError):
            problem = f"takes {name} as {kind}, not a value of type {type(value).__name__}"
            raise ClipdbError(f"{self.name} {problem}") from None

    def _in_sql(self, context: Context) -> Callable[..., pa.Array]:
        result = pa.list_(pa.struct([(name, _ARROW[kind]) for name, kind in self.columns.items()]))
        needed = [list(self.parameters).index(name) for name in self.needed]

        @context.calling()
        def call(*columns: pa.ChunkedArray) -> pa.Array:
            calls = list(zip(*(column.to_pylist() for column in columns), strict=True))
            distinct = [one for one in dict.fromkeys(calls) if all(one[place] is not None for place in needed)]
            found = dict(zip(distinct, self.compute(context, distinct), strict=True))
            names = list(self.columns)
            dicts = {one: [dict(zip(names, row, strict=True)) for row in rows] for one, rows in found.items()}
            return pa.array([dicts.get(one) for one in calls], result)

        # DuckDB counts the parameters of the function that it is given.
        kinds = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in self.parameters]
        call.__signature__ = Signature(kinds)  # type: ignore[attr-defined]
        return call


def _literal(sql: str) -> Any:
    """Read a default as a value of Python."""
    names = {"null": None, "true": True, "false": False}
    return names[sql.lower()] if sql.lower() in names else ast.literal_eval(sql)


def each(compute: Callable[..., Rows]) -> Callable[[Context, Sequence[Arguments]], Sequence[Rows]]:
    """Make a batch of calls from a function of one: ``compute(context, *arguments)``."""
    return lambda context, calls: [compute(context, *one) for one in calls]
