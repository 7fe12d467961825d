"""The views and macros that every catalog carries, so that any DuckDB client has them without clipdb.

Each is a file in ``views/``: a header in comments, then one select. The header is prose, then lines

    -- param NAME = DEFAULT: meaning
    -- column NAME: meaning

With parameters the select becomes a table macro, called ``NAME(parameter := value)``, and the view of the
same name is the macro with its defaults. Without columns it is an expression, and becomes a scalar macro. A view may
stand on any other: they are made in an order that allows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter

import duckdb

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.schema import view_files

_PARAMETER = re.compile(r"param (?P<name>\w+)(?: = (?P<default>.+?))?: (?P<comment>.+)")
# What SQL reads from or calls; query_table reads from a name in quotes.
_USED = re.compile(r"\b(?:from|join)\s+(\w+)|(\w+)\(|'(\w+)'", re.IGNORECASE)
_COLUMN = re.compile(r"column (\w+): (.+)")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a macro, with its default as SQL where it has one."""

    name: str
    default: str | None
    comment: str


@dataclass(frozen=True)
class View:
    """A view, a view with a table macro of the same name, or a scalar macro."""

    name: str
    comment: str
    parameters: tuple[Parameter, ...]
    columns: dict[str, str]
    body: str

    @property
    def is_scalar(self) -> bool:
        """Whether this is an expression, not a relation."""
        return not self.columns

    @property
    def signature(self) -> str:
        """The macro's parameters as SQL: ``min_agree := 3, top_n := 5``."""
        return ", ".join(p.name if p.default is None else f"{p.name} := {p.default}" for p in self.parameters)

    def statements(self, temporary: bool = False) -> list[str]:
        """Return the SQL that makes the view, or makes it anew."""
        make = "create or replace temporary" if temporary else "create or replace"
        if self.is_scalar:
            return [f"{make} macro {self.name}({self.signature}) as {self.body}"]
        if not self.parameters:
            return [f"{make} view {self.name} as {self.body}"]
        return [
            f"{make} macro {self.name}({self.signature}) as table {self.body}",
            f"{make} view {self.name} as from {self.name}()",
        ]

    def comments(self) -> list[str]:
        """Return the SQL that says what it and its columns mean."""
        kinds = ["macro"] if self.is_scalar else ["view", "macro table"] if self.parameters else ["view"]
        made = [f"comment on {kind} {self.name} is {_quote(self.comment)}" for kind in kinds]
        return made + [f"comment on column {self.name}.{name} is {_quote(text)}" for name, text in self.columns.items()]


@cache
def load() -> tuple[View, ...]:
    """Read every view, in an order in which each stands on those before it."""
    views = {name: parse(name, source) for name, source in view_files.sources().items()}
    needs = {name: _used(view) & views.keys() for name, view in views.items()}
    return tuple(views[name] for name in TopologicalSorter(needs).static_order())


def _used(view: View) -> set[str]:
    """Collect the names that a view may stand on."""
    return {name for found in _USED.findall(f"{view.body} {view.signature}") for name in found} - {view.name}


def _and_below(tops: Iterable[str]) -> Iterator[View]:
    """Go through views and those that they stand on, each before what stands on it."""
    wanted = set(tops)
    for view in reversed(load()):
        if view.name in wanted:
            wanted |= _used(view)
    return (view for view in load() if view.name in wanted)


def parse(name: str, source: str) -> View:
    """Read a view from its file's text."""
    lines = source.splitlines()
    body = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    prose: list[str] = []
    parameters: list[Parameter] = []
    columns: dict[str, str] = {}
    for line in (line.removeprefix("--").strip() for line in lines[:body]):
        if match := _PARAMETER.fullmatch(line):
            parameters.append(Parameter(**match.groupdict()))
        elif match := _COLUMN.fullmatch(line):
            columns[match[1]] = match[2]
        else:
            prose.append(line)
    if not columns and lines[body].strip().lower().startswith(("select", "from", "with")):
        raise ClipdbError(f"the view {name} has no columns: write a line `-- column NAME: meaning` for each")
    return View(name, " ".join(prose).strip(), tuple(parameters), columns, "\n".join(lines[body:]).strip())


def create(
    connection: duckdb.DuckDBPyConnection,
    comments: bool = True,
    temporary: bool = False,
    only: Collection[str] | None = None,
    there: Collection[str] = (),
) -> set[str]:
    """Make every view and macro in a catalog, or make them anew.

    Parameters
    ----------
    connection
        To the catalog.
    comments
        Whether to say what they mean, which is a third of the work.
    temporary
        Whether only this connection gets them: the catalog may be open for reading.
    only
        Views that are made alone, with those that they stand on. Default: all are made.
    there
        Those that are left as they are.

    Returns
    -------
    set
        The names of those that were made.
    """
    made = [view for view in (load() if only is None else _and_below(only)) if view.name not in there]
    for view in made:
        try:
            for statement in view.statements(temporary) + (view.comments() if comments else []):
                connection.execute(statement)
        except duckdb.Error as error:
            own = view_files.FOLDER / f"{view.name}.sql"
            if own.exists():  # then something is wrong with the tables, or with a file that was added to a clone
                raise type(error)(f"view {view.name}: {error}") from error
            raise ClipdbError(f"the view {view.name} can't be made, {first_line(error)}: correct its file") from error
    if not temporary and only is None:
        connection.execute(f"create or replace macro views_hash() as '{view_files.digest()}'")
        connection.execute("comment on macro views_hash is 'Hash of the views and macros that this catalog has'")
    return {view.name for view in made}


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
