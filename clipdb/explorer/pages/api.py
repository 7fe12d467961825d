"""The same answers for programs: JSON, CSV and Parquet of named queries and of SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clipdb._util.json_values import as_json
from clipdb.errors import ClipdbError
from clipdb.explorer.answering import MOST_ROWS, check_names, whole_number
from clipdb.explorer.downloads import FILES, as_file
from clipdb.explorer.openapi import described
from clipdb.explorer.pages.console import in_sandbox, rows_of
from clipdb.explorer.site import Site, page
from clipdb.queries.index import Index
from clipdb.queries.named.sql_files import find_query

LIMIT = 1000
"""Rows of an answer in JSON, unless more are asked for."""

PAGING = ("limit", "offset")


def query(request: Request) -> Response:
    """Answer a named query."""
    site: Site = request.app.state.site
    name, form = _split(request.path_params["name"])
    asked = find_query(name, site.folders)
    given = dict(request.query_params)
    limit, offset = (
        whole_number(given.pop(one, None), default, one) for one, default in zip(PAGING, (LIMIT, 0), strict=True)
    )
    if form != "json":
        limit = MOST_ROWS
    check_names(asked, given)
    if empty := [name for name, value in given.items() if not value.strip()]:
        raise ClipdbError(f"{empty[0]} is empty: give it a value, or leave it out")
    images = [given.get(one.name) for one in asked.parameters if one.type == "image"]
    with site.reading(*images) as index:
        answer = site.ask(index, asked.name, limit, offset, **given)
    if form != "json":
        return as_file(form, asked.command, answer.columns, answer.rows)
    after = {**answer.given, "limit": limit, "offset": offset + limit}
    return JSONResponse(
        {
            "columns": answer.columns,
            "rows": as_json([[row[column] for column in answer.columns] for row in answer.rows]),
            "command": site.shown(answer.command),
            "sql": answer.sql,
            "notes": answer.notes,
            "next": str(request.url.include_query_params(**after)) if answer.more else None,
        }
    )


def sql(request: Request) -> Response:
    """Answer one SELECT."""
    site: Site = request.app.state.site
    _, form = _split(request.url.path)
    statement = request.query_params.get("sql", "").strip()
    if not statement:
        raise ClipdbError("sql is empty: give it one SELECT")
    answer = in_sandbox(site, statement)
    if form != "json":
        return as_file(form, "sql", answer.names, rows_of(answer))
    return JSONResponse({"columns": answer.names, "types": answer.types, "rows": answer.rows, "cut": answer.cut})


@page
def openapi(site: Site, index: Index, request: Request) -> Response:
    """Describe the API."""
    return JSONResponse(described(site.folders, str(request.base_url), site.access.allows("sql")))


def _split(name: str) -> tuple[str, str]:
    base, dot, suffix = name.rpartition(".")
    return (base, suffix) if dot and suffix in ("json", *FILES) else (name, "json")


_ENDPOINTS: list[tuple[str, Callable[..., Any]]] = [
    ("/api/openapi.json", openapi),
    ("/api/sql", sql),
    *((f"/api/sql.{form}", sql) for form in ("json", *FILES)),
    ("/api/queries/{name}", query),
]
ROUTES = [Route(path, endpoint) for path, endpoint in _ENDPOINTS]
