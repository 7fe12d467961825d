"""A head: its name and who gave it, its spans, what the model loses without it, its images, the heads like it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.explorer.likeness import likeness_images, stored_likeness
from clipdb.explorer.site import Site, asked, page, tried
from clipdb.queries.index import Index
from clipdb.schema.names import head_name, parse_head

IMAGES = 12
SPANS = 10
ALIKE = 6
COMPARED_UNASKED = 10_000
"""Images of an index up to which a head's page compares what isn't stored: this reads the vectors of all heads."""


@page
def head(site: Site, index: Index, request: Request) -> Response:
    """Show a head."""
    model = site.model_of(index, request)
    name = head_name(*parse_head(request.path_params["head"]))
    given = asked(request, "span", "text")
    if "text" in given:
        given = {"text": given["text"]}
    card = site.ask(index, "head", model=model, head=name)
    sources = site.ask(index, "sources", model=model, head=name)
    verdicts = site.ask(index, "verdicts", model=model, head=name)
    images, no_images = tried(lambda: site.ask(index, "activating", model=model, head=name, k=IMAGES, **given))
    near, _ = (
        tried(lambda: site.ask(index, "text_neighbours", model=model, head=name, k=IMAGES, text=given["text"]))
        if "text" in given and images is not None
        else (None, None)
    )
    effects, _ = tried(lambda: site.ask(index, "effects", model=model, head=name))
    was_tested = index.execute(_WAS_TESTED, {"model": model}).fetchone() is not None
    tested = site.ask(index, "tested_names", model=model, head=name) if was_tested else None
    names = [row[0] for row in index.execute(_NAMES, {"model": model}).fetchall()]
    place = names.index(name)
    span = next((row for row in card.rows if str(row["rank"]) == given.get("span")), None)
    return site.render(
        request,
        "head.html",
        index,
        model=model,
        here="heads",
        name=name,
        card=card.rows,
        hue=_hue(site, index, card.rows[0]["property"]),
        sources=sources.rows,
        verdicts=_by_span(verdicts.rows),
        span=span,
        text=given.get("text"),
        images=images.rows if images else [],
        near=near.rows if near else [],
        no_images=no_images,
        test=tested.rows[0] if tested and tested.rows else None,
        effects=effects.rows if effects else [],
        statistics=index.execute(_STATISTICS, {"model": model, "head": name}).fetchone(),
        before=names[place - 1] if place else None,
        after=names[place + 1] if place + 1 < len(names) else None,
        compares_itself=site.frame(index).images <= COMPARED_UNASKED or stored_likeness(index, model) is not None,
        shown=SPANS if "all" not in request.query_params else len(card.rows),
        answers=[one for one in (images, near, card, sources, verdicts, tested, effects) if one is not None],
    )


@page
def alike(site: Site, index: Index, request: Request) -> Response:
    """Show the heads that are most like one; a part of its page that comes later, or a page where nothing loads it."""
    model = site.model_of(index, request)
    name = head_name(*parse_head(request.path_params["head"]))
    found = site.ask(index, "alike", ALIKE, model=model, head=name, images=likeness_images(index, model))
    part = request.headers.get("x-part") is not None
    return site.render(
        request,
        "alike_part.html" if part else "alike.html",
        index,
        model=model,
        here="heads",
        name=name,
        rows=[row | {"hue": _hue(site, index, row["other_property"])} for row in found.rows],
        answers=[found],
    )


_NAMES = "select name from heads where model_id = $model order by layer, head"
_WAS_TESTED = "select 1 from label_scores where model_id = $model and labeller = 'evidence' limit 1"
_STATISTICS = """
select total_variance, heads.effective_rank, head_dim
from heads left join models using (model_id) where model_id = $model and name = $head
"""


def _hue(site: Site, index: Index, property: str | None) -> int | None:
    if property is None:
        return None
    [(key,)] = index.execute("select normal_property($property)", {"property": property}).fetchall()
    return site.frame(index).palette.get(key)


def _by_span(rows: list[dict[str, object]]) -> dict[object, list[dict[str, object]]]:
    """Return the verdicts by the rank of their span; the majority's, or the only judge's, first."""
    found: dict[object, list[dict[str, object]]] = {}
    for row in sorted(rows, key=lambda row: (row["judge"] != "majority", row["judge"] == "vote")):
        found.setdefault(row["rank"], []).append(row)
    return found


ROUTES = [
    Route("/models/{arch}/{pretrained}/heads/{head}", head),
    Route("/models/{arch}/{pretrained}/heads/{head}/alike", alike),
]
