"""Properties of all models: which heads carry each."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.explorer.site import Site, page, tried
from clipdb.queries.index import Index


@page
def properties(site: Site, index: Index, request: Request) -> Response:
    """Show every property with the heads that carry it."""
    found, problem = tried(lambda: site.ask(index, "properties"))
    rows = found.rows if found else []
    by_property: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        by_property.setdefault(row["property"], {})[row["model_id"]] = row["carried_by"]
    palette = site.frame(index).palette
    ordered = sorted(by_property.items(), key=lambda one: list(palette).index(one[0]) if one[0] in palette else 0)
    return site.render(
        request,
        "properties.html",
        index,
        here="properties",
        properties=dict(ordered),
        problem=problem,
        answers=[found] if found else [],
    )


@page
def property(site: Site, index: Index, request: Request) -> Response:
    """Show the heads that carry one property."""
    name = request.path_params["name"]
    found = site.ask(index, "property", property=name)
    key = found.rows[0]["property"].strip().lower() if found.rows else name
    return site.render(
        request,
        "property.html",
        index,
        name=name,
        hue=site.frame(index).palette.get(key),
        rows=found.rows,
        columns=[
            one
            for one in found.columns
            if any(row[one] is not None and str(row[one]).strip().lower() != key for row in found.rows)
        ],
        here="properties",
        answers=[found],
    )


ROUTES = [Route("/properties", properties), Route("/properties/{name:path}", property)]
