"""What a statement needs before it runs, told from its text: opening vectors imports Lance, which is slow."""

from __future__ import annotations

import re
from functools import cache

from clipdb.plugins import modules

# Statements that list what there is.
_LISTING = r"\bshow\s+(all\s+)?tables\b|\bduckdb_(tables|views|columns|functions)\b|\binformation_schema\b"
_LISTS = re.compile(_LISTING, re.IGNORECASE)
_TABLES = re.compile(f"vectors|{_LISTING}", re.IGNORECASE)
_ONE_MODEL = re.compile(r"\b(image|text)_vectors\b", re.IGNORECASE)
# SQL that may read views without naming them: it lists what there is, begins a transaction, which sees no view that
# is made later, or is several statements.
_ALL_VIEWS = re.compile(
    rf"{_LISTING}|\b(show|describe|pragma|export|begin|start)\b|\b(duckdb|pg|sqlite)_|^\s*desc\b|;\s*\S",
    re.IGNORECASE,
)
_UNREAD = re.compile(
    r"""'[^']*'|--[^\n]*|/\*.*?\*/|("[^"]*")""", re.DOTALL
)  # texts and comments; names in quotes are read

_SHOW_TABLES = re.compile(r"\s*show\s+tables\s*;?\s*", re.IGNORECASE)
_ALL_TABLES = (
    "select distinct name from (show all tables) where database in (current_database(), 'temp') "
    "and not starts_with(name, 'clipdb_vectors_') order by name"
)


def with_vectors_listed(sql: str) -> str:
    """Let ``show tables`` list the vectors too: they are temporary views, which DuckDB leaves out there."""
    return _ALL_TABLES if _SHOW_TABLES.fullmatch(sql) else sql


def reads_all_views(sql: str) -> bool:
    """Return whether a statement may read views that it doesn't name."""
    return _ALL_VIEWS.search(_UNREAD.sub(r"\1", sql)) is not None


def reads_vectors(sql: str) -> bool:
    """Return whether a statement may read vectors, so that they have to be opened before it runs."""
    return reads_vector_tables(sql) or bool(functions_named(sql))


def functions_named(sql: str) -> set[str]:
    """Return the table functions that a statement may call: all of them if it lists what there is."""
    lower = sql.lower()
    return {name for name in _functions() if name in lower} if _LISTS.search(sql) is None else set(_functions())


@cache
def _functions() -> tuple[str, ...]:
    """The names of all table functions, none of which is imported for that."""
    return tuple(name.replace("-", "_") for name in modules("functions", "clipdb.queries.functions"))


def reads_vector_tables(sql: str) -> bool:
    """Return whether a statement may name a table of vectors, or list what tables there are."""
    return _TABLES.search(sql) is not None


def reads_one_model(sql: str) -> bool:
    """Return whether a statement names ``image_vectors`` or ``text_vectors``, which are those of one model."""
    return _ONE_MODEL.search(sql) is not None
