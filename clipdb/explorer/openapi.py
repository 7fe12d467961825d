"""What the API takes and gives, as OpenAPI, from the headers of the named queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipdb import __version__
from clipdb.explorer.answering import MOST_ROWS
from clipdb.queries.named.parameters import Parameter
from clipdb.queries.named.sql_files import NamedQuery, find_query, query_names

_TYPES: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer", "format": "int64"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "head": {"type": "string", "pattern": "^([Pp]|[Ll][0-9]+)\\.?[Hh][0-9]+$", "examples": ["L11.H3"]},
}
_PAGING = {"limit": "At most how many rows.", "offset": "After how many rows to begin."}
_IMAGE = "An image of the index: its file's name or uri, or the beginning of its id."
_TEXT = {"type": "string", "minLength": 1}
_PROBLEM = {
    "description": "What is wrong and what to do about it (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def described(folders: Sequence[Path], server: str, sql: bool = True) -> dict[str, Any]:
    """Describe the API.

    Parameters
    ----------
    folders
        Folders of named queries of the user's own.
    server
        The address under which it is reached.
    sql
        Whether it answers SQL.
    """
    found = [find_query(name, folders) for name in query_names(folders)]
    paths = {f"/api/queries/{query.command}": {"get": _operation(query)} for query in found}
    if sql:
        statement = {"name": "sql", "in": "query", "required": True, "schema": _TEXT, "description": "One SELECT."}
        paths["/api/sql"] = {
            "get": {"operationId": "sql", "summary": "SQL", "parameters": [statement], "responses": _responses("Rows")}
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "clipdb", "version": __version__, "description": "An index of attention heads, read only."},
        "servers": [{"url": server.rstrip("/")}],
        "paths": paths,
        "components": {"schemas": {"Rows": _ROWS, "Problem": _PROBLEM_SCHEMA}},
    }


def _operation(query: NamedQuery) -> dict[str, Any]:
    return {
        "operationId": query.name,
        "summary": query.title,
        "description": query.description,
        "parameters": [*map(_parameter, query.parameters), *map(_paging, (("limit", 1000), ("offset", 0)))],
        "responses": _responses("Rows"),
    }


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """Describe what a parameter takes, as JSON Schema."""
    schema = dict(_TYPES.get(parameter.type, _TEXT))
    if parameter.choices:
        schema = {"type": "string", "enum": list(parameter.choices)}
    if parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def remote_help(parameter: Parameter) -> str:
    """Describe what a parameter takes where no file of the caller's is read."""
    return _IMAGE if parameter.type == "image" else parameter.help


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required and parameter.type != "model",
        "description": remote_help(parameter),
        "schema": parameter_schema(parameter),
    }


def _paging(one: tuple[str, int]) -> dict[str, Any]:
    name, default = one
    schema = {"type": "integer", "minimum": 0, "maximum": MOST_ROWS, "default": default}
    return {"name": name, "in": "query", "description": _PAGING[name], "schema": schema}


def _responses(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    failures = {str(status): _PROBLEM for status in (403, 404, 422, 429, 501, 503)}
    return {"200": {"description": "The rows", "content": content}, **failures}


_ROWS = {
    "type": "object",
    "required": ["columns", "rows"],
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "array", "items": {"type": "array"}},
        "command": {"type": "string", "description": "The command that prints the same rows"},
        "sql": {"type": "string", "description": "The SQL with the values filled in"},
        "notes": {"type": "array", "items": {"type": "string"}, "description": "What the query says of its rows"},
        "next": {"type": ["string", "null"], "description": "Address of the rows that follow"},
    },
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "kind": {"type": "string", "enum": ["missing", "absent", "invalid", "busy", "newer"]},
    },
}
