"""Which SQL a stranger may run: one SELECT of what an index shows.

DuckDB's settings keep SQL from files, and a process of its own keeps it from everything else. But there are SELECTs
that change how all later ones run, that reveal settings and paths, or that end the process. So a statement is
parsed before it runs, and whatever it names is looked up in lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from clipdb._util.text import quoted
from clipdb.errors import ClipdbError
from clipdb.queries.functions import functions
from clipdb.queries.named.parameters import require_utf8
from clipdb.queries.vectors.vector_tables import SHORT
from clipdb.sandbox.limits import LETTERS
from clipdb.schema import views

DEEPEST = 250
"""How deep expressions may be nested: DuckDB's own default, 1,000, is more than a thread's stack may hold."""

TABLE_FUNCTIONS = {"unnest", "range", "generate_series", "json_each", "json_tree"}
"""DuckDB's own that may be read from, beside those of clipdb."""

REFUSED = {
    # They tell of the process or what others asked, or change it.
    *("current_setting", "getvariable", "getenv", "current_query", "write_log", "nextval", "currval", "setseed"),
    *("get_block_size", "format_type"),
    # They parse or plan SQL, which would be looked up in no list.
    *("json_serialize_sql", "json_serialize_plan", "json_deserialize_sql"),
    # They read the state of an aggregate from any bytes.
    *("combine", "finalize"),
    "sleep_ms",
    # They make any size of a number, or take the square of a text's length, and no interrupt stops them.
    *("repeat", "lpad", "rpad", "printf", "bar", "bitstring", "list_resize", "array_resize"),
    *("levenshtein", "editdist3", "damerau_levenshtein", "jaro_similarity", "jaro_winkler_similarity"),
}  # fmt: skip
"""Functions that may not be called anywhere."""

# Parts of a statement, besides expressions and types. What a later DuckDB may add is refused until it is known here.
_KINDS = {
    *("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"),
    *("EMPTY", "BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "PIVOT", "SHOW_REF"),
    *("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"),
    *("ORDER_DEFAULT", "ASCENDING", "DESCENDING"),
}
# What clipdb's table functions and DuckDB's optimiser call, and what tells of the database, as PostgreSQL calls it.
_REFUSED_BEGINNINGS = ("clipdb_", "__internal_", "pg_")
_RELATIONS = (
    "select database_name, schema_name, table_name from duckdb_tables() where not internal "
    "union all select database_name, schema_name, view_name from duckdb_views() where not internal"
)

_NAME = ("catalog_name", "schema_name", "table_name")  # of a table, lower case; empty where a statement doesn't say


class Statements:
    """Tells which SQL may run.

    Parameters
    ----------
    connection
        An open catalog whose vectors and functions SQL sees already.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        # The vectors of one model, too, where there are several: the index then says which to choose from.
        self._tables = {("", "", name) for name in SHORT.values()}
        for database, schema, name in connection.execute(_RELATIONS).fetchall():
            self._tables.add((database.lower(), schema.lower(), name.lower()))
            if database != "vectors":
                self._tables.add(("", "", name.lower()))
        macros = {view.name for view in views.load() if not view.is_scalar and not _reads_any_relation(view)}
        self._table_functions = TABLE_FUNCTIONS | set(functions()) | macros
        # It knows no tables and no files, so that nothing can be learnt from how it parses.
        self._parser = duckdb.connect(config={"enable_external_access": False, "threads": 1, "memory_limit": "200MB"})
        self._parser.execute(f"set max_expression_depth = {DEEPEST}")

    def check(self, sql: str) -> None:
        """Refuse SQL that is not one SELECT of what may be read and called.

        Raises
        ------
        ClipdbError
            Naming what is refused.
        """
        for node, ctes in _nodes(self._parsed(sql)):
            kind = node.get("type")
            if isinstance(kind, str) and not ("class" in node or kind in _KINDS or kind.endswith("_TYPE_INFO")):
                raise ClipdbError(f"untrusted SQL may not have a {kind}")
            if "function_name" in node:
                _check_function(node)
            if kind == "TABLE_FUNCTION":
                _require(node["function"].get("function_name", "").lower(), self._table_functions)
            elif kind == "SHOW_REF" and "table_name" in node:
                raise ClipdbError("untrusted SQL may not list what there is: `describe NAME` shows the columns of one")
            elif kind == "BASE_TABLE":
                database, schema, name = (node.get(part, "").lower() for part in _NAME)
                if database or schema or name not in ctes:
                    _require((database, schema, name), self._tables)

    def _parsed(self, sql: str) -> Any:
        if len(sql) > LETTERS:
            raise ClipdbError(f"untrusted SQL has {LETTERS:,} letters at most, and this has {len(sql):,}")
        try:
            require_utf8([sql])
        except UnicodeEncodeError:
            raise ClipdbError("the SQL is not UTF-8 text") from None
        if "\0" in sql:
            raise ClipdbError("the SQL has a null byte in it")
        serialize = "select json_serialize_sql(?::varchar, skip_default := true, skip_null := true, skip_empty := true)"
        found = json.loads(self._parser.execute(serialize, [sql]).fetchall()[0][0])
        if found["error"]:
            raise ClipdbError(_not_parsed(found))
        if len(found["statements"]) != 1:
            raise ClipdbError("untrusted SQL is one SELECT")
        return found["statements"]


def _reads_any_relation(view: views.View) -> bool:
    """Return whether a table macro reads from a relation that its caller names."""
    return "query_table" in view.body or any(parameter.name.endswith("_in") for parameter in view.parameters)


def _not_parsed(found: dict[str, Any]) -> str:
    problem = found.get("error_message", "")
    return f"the SQL can't be read: {problem}" if found["error_type"] == "parser" else "untrusted SQL is one SELECT"


def _check_function(node: dict[str, Any]) -> None:
    name = node["function_name"].lower()
    if name in REFUSED or name.startswith(_REFUSED_BEGINNINGS) or node.get("export_state"):
        raise ClipdbError(f"untrusted SQL may not call {quoted(name)}")


def _require(name: Any, allowed: set[Any]) -> None:
    if name not in allowed:
        written = name if isinstance(name, str) else ".".join(part for part in name if part)
        raise ClipdbError(f"untrusted SQL may not read {quoted(written)}: it reads the index's tables and vectors")


def _nodes(tree: Any) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Walk a statement: every object in it, with the names of the common table expressions that it sees.

    A name is seen only where DuckDB sees it: elsewhere it would be a table of that name, or a file.
    """
    left: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while left:
        node, seen = left.pop()
        if isinstance(node, list):
            left += [(one, seen) for one in node]
        elif isinstance(node, dict):
            for cte in node.get("cte_map", {}).get("map", ()):
                left.append((cte["value"], seen))
                seen |= {cte["key"].lower()}
            yield node, seen
            again = seen | {node["cte_name"].lower()} if node.get("type") == "RECURSIVE_CTE_NODE" else seen
            left += [(value, again if key == "right" else seen) for key, value in node.items() if key != "cte_map"]
