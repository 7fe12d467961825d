"""The views and macros that every catalog carries, so that any DuckDB client has them without clipdb.

Each is a file in ``views/``: a header in comments, then one select. The header is prose, then lines

    -- param NAME = DEFAULT: meaning
    -- column NAME: meaning

With parameters the select becomes a table macro, called ``NAME(parameter := value)``, and the view of the
same name is the macro with its defaults. Without columns it is an expression, and becomes a scalar macro.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

_FOLDER = Path(__file__).parent / "views"
_PARAMETER = re.compile(r"param (?P<name>\w+)(?: = (?P<default>.+?))?: (?P<comment>.+)")
_COLUMN = re.compile(r"column (\w+): (.+)")

# In order of making: each stands on those before it.
NAMES = (
    "normal_property",
    "labeller_rank",
    "bootstrap_interval",
    "bootstrap_low",
    "bootstrap_high",
    "head_labels",
    "head_properties",
    "head_pools",
    "head_spans",
    "head_cards",
    "model_judges",
    "latest_verdicts",
    "head_verdicts",
    "current_names",
    "source_names",
    "source_ccs",
    "source_association",
    "source_entanglement",
    "ccs",
    "association",
    "association_by_layer",
    "association_by_property",
    "entanglement",
    "entanglement_by_layer",
    "entanglement_by_property",
    "scoreboard",
    "ratings",
    "agreement",
    "krippendorff",
    "label_stability",
    "labeller_stability",
    "reviews",
    "rank_agreement",
)


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

    def statements(self) -> list[str]:
        """Give the SQL that makes the view, or makes it anew."""
        if self.is_scalar:
            return [f"create or replace macro {self.name}({self.signature}) as {self.body}"]
        if not self.parameters:
            return [f"create or replace view {self.name} as {self.body}"]
        return [
            f"create or replace macro {self.name}({self.signature}) as table {self.body}",
            f"create or replace view {self.name} as from {self.name}()",
        ]

    def comments(self) -> list[str]:
        """Give the SQL that says what it and its columns mean."""
        kinds = ["macro"] if self.is_scalar else ["view", "macro table"] if self.parameters else ["view"]
        made = [f"comment on {kind} {self.name} is {_quote(self.comment)}" for kind in kinds]
        return made + [f"comment on column {self.name}.{name} is {_quote(text)}" for name, text in self.columns.items()]


@cache
def load() -> tuple[View, ...]:
    """Read every view, in order of making."""
    return tuple(parse(name, (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")) for name in NAMES)


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
    return View(name, " ".join(prose).strip(), tuple(parameters), columns, "\n".join(lines[body:]).strip())


def create(connection: duckdb.DuckDBPyConnection, comments: bool = True) -> None:
    """Make every view and macro in a catalog, or make them anew; comments are a third of the work."""
    for view in load():
        for statement in view.statements() + (view.comments() if comments else []):
            connection.execute(statement)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
