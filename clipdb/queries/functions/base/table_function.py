"""A table function in SQL that Python computes: a vectorised function that returns rows, and a macro that unnests them.

It takes constants, parameters, subqueries and, through LATERAL, columns of other tables.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import duckdb
import pyarrow as pa

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context

Arguments = tuple[Any, ...]
Rows = Sequence[tuple[Any, ...]]
Compute = Callable[[Context, Sequence[Arguments]], Sequence[Rows]]

_SQL = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}
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
    """A table function, which `table_function` makes.

    Attributes
    ----------
    name
        As SQL calls it.
    description
        What it does, in plain text; the first line says it in a sentence.
    parameters
        SQL type by name, in order.
    defaults
        Value by name of the parameters that may be left out; the last ones.
    needed
        Parameters that can't be null: a call with a null in one of them has no rows.
    columns
        SQL type by name of what it returns.
    compute
        From the context and a batch of calls, each call's rows. Calls with equal arguments come once.
    """

    name: str
    description: str
    parameters: Mapping[str, str]
    defaults: Mapping[str, Any]
    needed: Sequence[str]
    columns: Mapping[str, str]
    compute: Compute

    @property
    def title(self) -> str:
        """What it does, in a sentence."""
        return self.description.partition("\n")[0]

    @property
    def signature(self) -> str:
        """How SQL calls it: ``neighbours(model, head, image, k := 10, measure := 'cosine')``."""
        return f"{self.name}({', '.join(self._declared(name, name) for name in self.parameters)})"

    def _declared(self, name: str, written: str) -> str:
        return f"{written} := {_literal(self.defaults[name])}" if name in self.defaults else written

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
        declared = ", ".join(self._declared(name, f'"{name}"') for name in self.parameters)
        arguments = ", ".join(f'"{name}"' for name in self.parameters)
        connection.execute(
            f"create or replace temp macro {self.name}({declared}) as table "
            f"select unnest({computed}({arguments}), recursive := true)"
        )
        connection.execute(f"comment on macro table {self.name} is {_literal(f'{self.signature}: {self.title}')}")

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
        values = {name: self._value(name, given.get(name, self.defaults.get(name))) for name in self.parameters}
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


def table_function(**columns: str) -> Callable[[Callable[..., Any]], TableFunction]:
    """Make a table function of a Python function, whose name, signature and docstring are those of the SQL function.

    ``function(context, *arguments)`` answers a call with its rows. Parameters may be ``str``, ``int``, ``float`` or
    ``bool``: VARCHAR, BIGINT, DOUBLE or BOOLEAN in SQL. One that may be None may be null. One may be a ``Sequence``:
    the function is then given together what calls that differ in it alone have there, and returns the rows of each.

    Parameters
    ----------
    columns
        SQL type by name of what it returns: VARCHAR, BIGINT, INTEGER, DOUBLE, FLOAT or BOOLEAN.

    Raises
    ------
    ClipdbError
        If a parameter is of another type, or of none.
    """

    def make(function: Callable[..., Any]) -> TableFunction:
        hints = get_type_hints(function)
        parameters, defaults, needed, together = {}, {}, [], None
        for place, one in enumerate(list(inspect.signature(function).parameters.values())[1:]):
            hint, default = hints.get(one.name), one.default
            if get_origin(hint) is Sequence:
                (hint,), together = get_args(hint), place
                default = default if default is Parameter.empty else default[0]
            kinds = get_args(hint) or (hint,)
            parameters[one.name] = _sql_type(f"{function.__name__}: {one.name}", kinds)
            if default is not Parameter.empty:
                defaults[one.name] = default
            if NoneType not in kinds:
                needed.append(one.name)
        compute = _each(function) if together is None else _grouped(function, together)
        description = inspect.getdoc(function) or ""
        return TableFunction(function.__name__, description, parameters, defaults, needed, columns, compute)

    return make


def _each(function: Callable[..., Rows]) -> Compute:
    return lambda context, calls: [function(context, *one) for one in calls]


def _grouped(function: Callable[..., Sequence[Rows]], together: int) -> Compute:
    """Call a function once for all calls that differ in the argument at one place alone."""

    def compute(context: Context, calls: Sequence[Arguments]) -> Sequence[Rows]:
        groups: dict[tuple[Arguments, Arguments], list[int]] = {}
        for place, one in enumerate(calls):
            groups.setdefault((one[:together], one[together + 1 :]), []).append(place)
        found: dict[int, Rows] = {}
        for (before, after), places in groups.items():
            rows = function(context, *before, [calls[place][together] for place in places], *after)
            found |= zip(places, rows, strict=True)
        return [found[place] for place in range(len(calls))]

    return compute


def _sql_type(parameter: str, kinds: Sequence[Any]) -> str:
    found = [_SQL.get(kind) for kind in kinds if kind is not NoneType]
    if len(found) != 1 or found[0] is None:
        raise ClipdbError(f"{parameter} has to be annotated as str, int, float or bool, or one of these and None")
    return found[0]


def _literal(value: Any) -> str:
    """Write a value in SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "null" if value is None else str(value)
