"""The SQL console: one SELECT, run by the sandbox, beside the tables and their columns."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.site import Site
from clipdb.sandbox import Answer

WAIT_SECONDS = 5.0
"""For one of the others to be done."""

FIRST = """select property, name as head, text, variance_explained, labeller
from head_properties join head_spans using (model_id, layer, head)
where rank = 1
order by variance_explained desc
limit 20"""

_TABLES = """
select table_name, list((column_name, lower(data_type), coalesce(comment, '')) order by column_index)
from duckdb_columns()
where not internal and schema_name = 'main' and database_name = current_database()
group by table_name order by table_name
"""


@dataclass(frozen=True)
class Asked:
    """What the console was asked, and what came of it."""

    answer: Answer | None
    problem: str | None
    milliseconds: int


def console(request: Request) -> Response:
    """Show the console, and the rows of the SQL in the address; while that runs, the page keeps nobody from reading."""
    site: Site = request.app.state.site
    site.access.require("sql")
    sql = request.query_params.get("sql", "").strip()
    done: Asked | None = None
    if sql:
        begun = time.monotonic()
        answer, problem = None, None
        try:
            answer = in_sandbox(site, sql)
        except ClipdbError as error:
            problem = str(error)
        done = Asked(answer, problem, round(1000 * (time.monotonic() - begun)))
    with site.reading() as index:
        return site.render(
            request,
            "sql.html",
            index,
            422 if done is not None and done.problem else 200,
            here="sql",
            sql=sql or FIRST,
            done=done,
            rows=rows_of(done.answer) if done and done.answer else [],
            tables=index.execute(_TABLES).fetchall(),
        )


def in_sandbox(site: Site, sql: str) -> Answer:
    """Run SQL in the sandbox.

    Raises
    ------
    HTTPException
        If others have it for longer than one waits, or visitors may not ask in SQL.
    ClipdbError
        If the SQL is refused, fails or takes too much.
    """
    site.access.require("sql")
    if not site.consoles.acquire(timeout=WAIT_SECONDS):
        raise HTTPException(429, "others are asking in SQL at the moment: try again in a few seconds")
    try:
        return site.sandbox.ask(sql)
    finally:
        site.consoles.release()


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """Return rows by column; of columns of one name the last counts."""
    return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]


ROUTES = [Route("/sql", console)]
