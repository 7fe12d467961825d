"""Named queries: SQL files whose comment header says what they answer and what they need.

A file `NAME.sql` starts with comments::

    -- Heads that carry a property
    --
    -- A description, over as many lines as it takes.
    --
    -- $property property required: The property, or part of its name.
    -- $k integer = 10: How many to list;
    --     a help text goes on where lines are indented.
    -- needs: labels
    -- empty: run `clipdb label` first
    -- limit: 50
    -- sheet: image_id score
    -- interval: share low high
    -- note: select count(*) || ' are not counted' from labels where property is null having count(*) > 0

    select ... where property = $property limit $k

    -- with $wide:
    select ...

The first line is the title. A parameter is ``$name TYPE``, then ``required``, ``optional`` (null when left out) or ``=
DEFAULT``, then a colon and its help. Types are those of `clipdb.queries.named.parameters`. ``needs`` names the tables
that must have rows; ``empty`` says what to do where the query finds none; ``limit`` is how many rows the command line
prints unless told otherwise; ``sheet`` says that the rows are images that can be shown, and which columns are the
image and its caption, and perhaps a third whose values are headings; ``interval``, once for each, names a figure's
column and those of the ends of its interval, which a table on a screen shows as ``0.958 [0.875, 1.000]``; ``note`` is
SQL of one text, which the command line says on stderr where there is one; it may go on over indented lines. SQL behind
a line ``-- with $NAME:`` is run in place of the first where that boolean parameter is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipdb import plugins
from clipdb.errors import ClipdbError
from clipdb.queries.named.parameters import Parameter, convert, known_type

SHIPPED = Path(__file__).parents[1] / "sql"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(
    r"\$(?P<name>\w+)\s+(?P<type>[a-z]+(?:\([^)]*\))?)\s*(?P<rule>required|optional|=\s*(?P<default>[^:]*?))\s*:\s*(?P<help>\S.*)"
)
_NOT_SQL = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.DOTALL)
_VARIANT = re.compile(r"^-- with \$(\w+):\n", re.MULTILINE)
_PLACEHOLDER = re.compile(r"\$([A-Za-z_]\w*)")


@dataclass(frozen=True)
class NamedQuery:
    """One question: what its file's header says, and its SQL."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    needs: tuple[str, ...]
    empty: str | None
    limit: int | None
    sheet: tuple[str, ...] | None
    sql: str
    path: Path
    intervals: tuple[tuple[str, str, str], ...] = ()
    note: str | None = None
    variants: tuple[tuple[str, str], ...] = ()
    """SQL in place of its own, by the parameter that asks for it."""

    def statement(self, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the SQL for some values, its own or that of a parameter which is true, and what it takes of them."""
        chosen = next((sql for name, sql in self.variants if values.get(name)), self.sql)
        return chosen, {name: value for name, value in values.items() if name not in dict(self.variants)}

    @property
    def command(self) -> str:
        """The name as it is typed: ``property-neighbours``."""
        return self.name.replace("_", "-")

    @property
    def ships(self) -> bool:
        """Whether it comes with clipdb."""
        return self.path.parent == SHIPPED

    def values_of_note(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return of the query's values those that its note takes."""
        used = set(re.findall(r"\$(\w+)", self.note or ""))
        return {name: value for name, value in values.items() if name in used}


@dataclass
class _Header:
    title: str = ""
    description: list[str] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    needs: tuple[str, ...] = ()
    empty: str | None = None
    limit: int | None = None
    sheet: tuple[str, ...] | None = None
    intervals: tuple[tuple[str, str, str], ...] = ()
    note: str | None = None


def query_names(folders: Iterable[Path] = ()) -> list[str]:
    """Names of the shipped queries, of those of other packages and of those in the user's folders, sorted.

    Folders of other packages are found by their entry points ``clipdb.queries``.

    Raises
    ------
    ClipdbError
        If a folder is not there, or a file's name can't be a query's or is that of a shipped query.
    """
    names = {path.stem for path in SHIPPED.glob("*.sql")}
    for folder in (*plugins.folders("queries"), *folders):
        _require_folder(folder)
        for path in folder.glob("*.sql"):
            if not _NAME.fullmatch(path.stem):
                raise ClipdbError(f"{path}: name the file with small letters, digits and '_' only")
            _require_new(path)
            names.add(path.stem)
    return sorted(names)


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ClipdbError(f"{folder} is not a folder: give --queries a folder of .sql files", kind="absent")


def _require_new(path: Path) -> None:
    if path.parent != SHIPPED and (SHIPPED / path.name).exists():
        raise ClipdbError(f"{path} has the name of a query that ships with clipdb: choose another name")


def find_query(name: str, folders: Sequence[Path] = ()) -> NamedQuery:
    """Read one query; of two files of the user's of the same name, that in the later folder counts.

    Parameters
    ----------
    name
        The query's name, with ``-`` or ``_`` between words; American spelling will do.
    folders
        The user's own folders.

    Raises
    ------
    ClipdbError
        If there is no such query (the nearest names are in the message), its header is malformed, it does anything but
        read, a file has the name of a shipped query or a folder is not there.
    """
    for folder in folders:
        _require_folder(folder)
    written = name.replace("-", "_")
    for key in (written, written.replace("neighbor", "neighbour")):
        if _NAME.fullmatch(key):
            for folder in (*reversed(folders), SHIPPED, *plugins.folders("queries")):
                path = folder / f"{key}.sql"
                if path.is_file():
                    _require_new(path)
                    return read_query(path)
    from difflib import get_close_matches

    names = [known.replace("_", "-") for known in query_names(folders)]
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}?" if near else "`clipdb query --list` shows them all"
    raise ClipdbError(f"no query is called {name!r}: {hint}", kind="absent")


def read_query(path: Path) -> NamedQuery:
    """Parse one file.

    Raises
    ------
    ClipdbError
        If the header is malformed: the message names the file and the line. If a query that doesn't ship with clipdb is
        anything but one statement that reads.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClipdbError(f"{path}: can't be read: {error}") from error
    header = _Header()
    body = 0
    for number, line in enumerate(lines, start=1):
        if not line.startswith("--"):
            break
        body = number
        try:
            _read_line(header, line[2:])
        except ValueError as error:
            raise ClipdbError(f"{path}, line {number}: {error}") from error
    if not header.title:
        raise ClipdbError(f"{path}, line 1: a query starts with a comment that is its title, `-- TITLE`")
    sql, *others = (part.strip().rstrip(";").rstrip() for part in _VARIANT.split("\n".join(lines[body:])))
    if not sql:
        raise ClipdbError(f"{path}, line {len(lines)}: there is no SQL after the header")
    variants = dict(zip(others[::2], others[1::2], strict=True))
    _check_placeholders(
        path, header, " ".join([sql, header.note or "", *variants.values(), *map("${}".format, variants)])
    )
    if path.parent != SHIPPED:
        from clipdb.queries.named.reading_only import require_one_select

        for one in (sql, *variants.values()):
            require_one_select(path, one)
    return NamedQuery(
        name=path.stem,
        title=header.title,
        description="\n".join(header.description).strip(),
        parameters=tuple(header.parameters),
        needs=header.needs,
        empty=header.empty,
        limit=header.limit,
        sheet=header.sheet,
        sql=sql,
        path=path,
        intervals=header.intervals,
        note=header.note,
        variants=tuple(variants.items()),
    )


def _read_line(header: _Header, line: str) -> None:
    text = line.strip()
    if not header.title:
        if not text:
            raise ValueError("a query starts with a comment that is its title, `-- TITLE`")
        header.title = text.rstrip(".")
    elif text.startswith("$"):
        header.parameters.append(_read_parameter(text, header.parameters))
    elif text.startswith("needs:"):
        header.needs = tuple(part.strip() for part in text.removeprefix("needs:").split(","))
    elif text.startswith("empty:"):
        header.empty = text.removeprefix("empty:").strip()
    elif text.startswith("limit:"):
        if not text.removeprefix("limit:").strip().isdecimal():
            raise ValueError("`limit:` takes a whole number")
        header.limit = int(text.removeprefix("limit:"))
    elif text.startswith("interval:"):
        ends = text.removeprefix("interval:").split()
        if len(ends) != 3:
            raise ValueError("`interval:` takes three columns: the figure, its low end and its high end")
        header.intervals += ((ends[0], ends[1], ends[2]),)
    elif text.startswith("sheet:"):
        header.sheet = tuple(text.removeprefix("sheet:").split())
        if len(header.sheet) not in (2, 3):
            raise ValueError("`sheet:` takes two columns, the image's id and its caption, and perhaps one of headings")
    elif text.startswith("note:"):
        header.note = text.removeprefix("note:").strip()
    elif header.note is not None and line.startswith("    "):
        header.note += f" {text}"
    elif header.parameters and line.startswith("    ") and text:
        header.parameters[-1] = header.parameters[-1].with_more_help(text)
    elif header.parameters and text:
        raise ValueError(
            f"{text!r} follows the parameters: write `$name`, `needs:`, `empty:`, `limit:`, `sheet:`, "
            "`interval:`, `note:` or indent by four"
        )
    else:
        header.description.append(text)


def _read_parameter(text: str, seen: Sequence[Parameter]) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a parameter: write `$name TYPE required: HELP`, `optional` or `= DEFAULT` for `required`"
        )
    name, kind = match["name"], match["type"]
    if any(parameter.name == name for parameter in seen):
        raise ValueError(f"${name} is declared twice")
    if not known_type(kind):
        raise ValueError(f"${name} has the unknown type {kind!r}")
    parameter = Parameter(name, kind, match["help"], required=match["rule"] == "required")
    if match["default"] is None:
        return parameter
    try:
        return Parameter(name, kind, match["help"], default=convert(parameter, match["default"].strip("' ")))
    except ClipdbError as error:
        raise ValueError(f"the default of {error}") from error


def _check_placeholders(path: Path, header: _Header, sql: str) -> None:
    used = set(_PLACEHOLDER.findall(_NOT_SQL.sub(" ", sql)))
    declared = {parameter.name for parameter in header.parameters}
    for name in sorted(used ^ declared):
        number, text = next(
            (number, line)
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            if re.search(rf"\${name}\b", line)
        )
        problem = "is declared and not used in the SQL" if name in declared else "is not declared in the header"
        raise ClipdbError(f"{path}, line {number}: ${name} {problem}: {text.strip()}")
