"""A named query's answer, with what repeats it elsewhere: the command, the SQL, the address."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index
from clipdb.queries.named.sql_files import NamedQuery, find_query

MOST_ROWS = 10_000
"""Of an answer, on a page and in a file."""

_TOKENS = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\$([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Answer:
    """What a named query gave.

    Attributes
    ----------
    query
        The query.
    given
        The values that were asked for, as text.
    values
        The values that its SQL took.
    columns, rows
        Names, and the rows by column.
    more
        Whether there are rows after these.
    place
        The index, as the command line names it.
    notes
        What the query has to say of its rows.
    files
        Names of files by the ids that stand for them here: the command line takes the files.
    console
        Whether there is a console to go on in.
    """

    query: NamedQuery
    given: Mapping[str, str]
    values: Mapping[str, Any]
    columns: list[str]
    rows: list[dict[str, Any]]
    more: bool
    place: str
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    console: bool = True

    def noted(self, notes: Sequence[str]) -> Answer:
        """Return it with more to say of its rows."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def command(self) -> str:
        """The command that prints the same rows."""
        words = ["clipdb", "query", self.query.command]
        for parameter in self.query.parameters:
            if parameter.name in self.given:
                value = self.given[parameter.name]
                words += [parameter.option, self.files.get(value, value)]
        return shlex.join([*words, "-i", self.place])

    @property
    def sql(self) -> str:
        """Its SQL with the values filled in."""
        return filled(*self.query.statement(self.values))

    @property
    def for_console(self) -> bool:
        """Whether the console runs its SQL.

        It refuses views that read whatever relation they are given a name of, has no model to trace a text in, and
        doesn't see files that were brought.
        """
        return (
            self.console
            and not self.files
            and not any(word in self.query.sql for word in ("names_in :=", "text_contributions("))
        )

    @property
    def parameters(self) -> str:
        """The values as the part of an address after its question mark."""
        return urlencode(self.given)


def ask(index: Index, name: str, limit: int = MOST_ROWS, offset: int = 0, /, **given: Any) -> Answer:
    """Ask a named query.

    Parameters
    ----------
    index
        An open index.
    name
        The query.
    limit, offset
        At most how many rows, after how many.
    **given
        Values by parameter; None and empty text count as left out.

    Raises
    ------
    ClipdbError
        If there is no such query, or it has no answer.
    """
    query = find_query(name, index.folders)
    known = {key: str(value) for key, value in given.items() if value is not None and str(value).strip()}
    values = index.bind(query, known)
    result = index.execute(*query.statement(values))
    columns = [column[0] for column in result.description or ()]
    found = index.explained(lambda: result.fetchmany(offset + limit + 1)[offset:])
    rows = [dict(zip(columns, row, strict=True)) for row in islice(found, limit)]
    notes: tuple[str, ...] = ()
    if query.note is not None:
        said = index.execute(query.note, query.values_of_note(values))
        notes = tuple(note for (note,) in index.explained(said.fetchall))
    return Answer(query, known, values, columns, rows, len(found) > limit, str(index.path), notes)


def check_names(query: NamedQuery, given: Mapping[str, Any]) -> None:
    """Check that a query has the parameters that are given.

    Raises
    ------
    ClipdbError
        If it lacks one.
    """
    if unknown := sorted(given.keys() - {one.name for one in query.parameters}):
        raise ClipdbError(f"{query.command} has no parameter {unknown[0]!r}")


def whole_number(text: str | None, default: int, name: str, most: int = MOST_ROWS) -> int:
    """Read a number of rows; the default where there is none.

    Raises
    ------
    ClipdbError
        If it is no whole number from 0 to ``most``.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(most)) or int(text) > most:
        raise ClipdbError(f"{name} takes a whole number from 0 to {most}, not {text[:40]!r}")
    return int(text)


def filled(sql: str, values: Mapping[str, Any]) -> str:
    """Write values into SQL in place of its parameters."""

    def literal(found: re.Match[str]) -> str:
        if found[1] is None or found[1] not in values:
            return found[0]
        value = values[found[1]]
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    return _TOKENS.sub(literal, sql)
