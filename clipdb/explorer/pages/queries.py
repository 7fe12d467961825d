"""Every named query: its form, and what it answers, made from the header of its file."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.errors import ClipdbError, require
from clipdb.explorer.site import Site, page
from clipdb.pictures.charts import charted, make_chart
from clipdb.queries.index import Index
from clipdb.queries.named.sql_files import NamedQuery, find_query, query_names

ROWS = 200
"""On a page, where the query's header doesn't say."""


@page
def queries(site: Site, index: Index, request: Request) -> Response:
    """List the named queries."""
    found = [find_query(name, site.folders) for name in query_names(site.folders)]
    return site.render(request, "queries.html", index, here="queries", queries=found)


@page
def query(site: Site, index: Index, request: Request) -> Response:
    """Show a query's form; with all that it needs, what it answers too."""
    asked = find_query(request.path_params["name"], site.folders)
    given = given_values(asked, request)
    limit = asked.limit or ROWS
    answer, problem, status = None, None, 200
    if not missing(asked, given, index):
        try:
            answer = site.ask(index, asked.name, limit, **given)
        except ClipdbError as error:
            if error.kind == "busy":
                raise
            problem = str(error)
            if given:  # else nobody asked: the form says what the query takes
                status = 404 if error.kind == "absent" else 422
    return site.render(
        request,
        "query.html",
        index,
        status,
        here="queries",
        query=asked,
        given=given,
        choices=_choices(index, asked),
        answer=answer,
        problem=problem,
        limit=limit,
        chart=answer is not None and bool(answer.rows) and asked.command in charted(),
        answers=[answer] if answer else [],
    )


@page
def chart(site: Site, index: Index, request: Request) -> Response:
    """Draw what a query answers as a chart."""
    from io import BytesIO

    asked = find_query(request.path_params["name"], site.folders)
    if asked.command not in charted():
        raise ClipdbError(f"{asked.command} has no chart: {', '.join(charted())} have one", kind="absent")
    require("matplotlib", "plot")
    answer = site.ask(index, asked.name, **given_values(asked, request))
    made = BytesIO()
    make_chart(asked.command, answer.rows, answer.values).savefig(made, format="png", dpi=110)
    return Response(made.getvalue(), media_type="image/png")


def given_values(query: NamedQuery, request: Request) -> dict[str, str]:
    """Return the values that an address gives a query's parameters."""
    found = {one.name: request.query_params.get(one.name, "") for one in query.parameters}
    return {name: value.strip() for name, value in found.items() if value.strip()}


def missing(query: NamedQuery, given: dict[str, str], index: Index) -> list[str]:
    """Name the parameters that a query needs and nobody gave; the model is needed where there are several."""
    one_model = index.execute("select count(*) <= 1 from models").fetchall()[0][0]
    return [
        one.name
        for one in query.parameters
        if one.required and one.name not in given and not (one.type == "model" and one_model)
    ]


def _choices(index: Index, query: NamedQuery) -> dict[str, list[Any]]:
    """Return what may be chosen for parameters whose values are names in the index."""
    lists = {
        "model": "select model_id from models union select model_id from heads order by 1",
        "pool": "select pool from pools order by 1",
        "property": "select distinct property_key from head_properties order by 1",
        "head": "select name from heads group by name order by min(layer), min(head)",
    }
    kinds = {one.type for one in query.parameters} & lists.keys()
    return {kind: [row[0] for row in index.execute(lists[kind]).fetchall()] for kind in kinds}


ROUTES = [
    Route("/queries", queries),
    Route("/queries/{name}", query),
    Route("/queries/{name}/chart.png", chart),
]
