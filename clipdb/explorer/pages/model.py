"""A model: its heads as a grid of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.explorer.answering import Answer
from clipdb.explorer.site import Site, aligner_of, asked, page, tried
from clipdb.queries.index import Index
from clipdb.schema.names import parse_head

COLOURS = {
    "property": "Property",
    "fit": "Fit of spans",
    "variance": "Variance explained",
    "confidence": "Share",
    "effect": "Effect",
    "holds": "Names that hold",
}

_FITS = """
select format('L{}.H{}', layer, head) as head, avg(verdict::int) as fit
from head_verdicts
where model_id = $model and verdict is not null and judge = (
    select judge from head_verdicts where model_id = $model and verdict is not null
    group by judge order by judge = 'majority' desc, bool_or(independent) desc, judge limit 1
)
group by all
"""
MOST_EFFECTS = 500_000
"""Heads times images, up to which a page takes off each head in turn."""

_TARGETS = """
select distinct unnest(json_keys(metadata)) as key
from (select metadata from images where metadata is not null limit 1000) order by key
"""
_NAMED = 5  # heads that the sentence about a text names


@page
def model(site: Site, index: Index, request: Request) -> Response:
    """Show the grid, coloured by what is asked for, or lit by how much each head varies along a text."""
    name = site.model_of(index, request)
    text = asked(request, "text").get("text")
    colour = request.query_params.get("colour", "property")
    colour = colour if colour in COLOURS else "property"
    heads, problem = tried(lambda: site.ask(index, "heads", model=name))
    lit, unlit = tried(lambda: site.ask(index, "text_heads", model=name, text=text)) if text else (None, None)
    shared, _ = tried(lambda: site.ask(index, "entanglement", model=name))
    fits, _ = tried(lambda: site.ask(index, "association", model=name))
    rows = [dict(row) for row in heads.rows] if heads else []
    properties = _properties(site, index, rows)
    target = asked(request, "target").get("target")
    effects: dict[str, float] = {}
    no_effects = taken_off = None
    targets: list[str] = []
    if colour == "effect" and lit is None:
        targets = [key for (key,) in index.execute(_TARGETS).fetchall()]
        effects, taken_off, no_effects = _effects(site, index, name, rows, target)
        if no_effects and target is None and targets:
            no_effects = f"Choose what is told apart, such as {targets[0]!r}: {no_effects}"
    values = effects if colour == "effect" and lit is None else _values(index, name, colour, rows, lit)
    tested = None
    if colour == "holds" and lit is None:
        tested, _ = tried(lambda: site.ask(index, "tested_names", model=name))
        held = {row["head"]: row for row in tested.rows} if tested else {}
        rows = [row | {"test": held.get(row["head"])} for row in rows]
        values = {head: row["specificity"] for head, row in held.items()}
    cells = {parse_head(row["head"]): row | {"value": values.get(row["head"])} for row in rows}
    width = 1 + max((head for _, head in cells), default=0)
    answers = [one for one in (lit, taken_off, tested, heads, shared, fits) if one is not None]
    return site.render(
        request,
        "model.html",
        index,
        model=name,
        here="heads",
        aligner=aligner_of(index, name),
        text=text,
        unlit=unlit,
        no_effects=no_effects,
        target=target,
        targets=targets,
        most=max((value for value in effects.values() if value > 0), default=1),
        found=sorted(lit.rows, key=lambda row: -(row["explained"] or 0))[:_NAMED] if lit else [],
        colour="text" if lit else colour,
        colours=COLOURS,
        grid={layer: [cells.get((layer, head)) for head in range(width)] for layer, _ in sorted(cells, reverse=True)},
        properties=properties,
        entanglement=shared.rows if shared else [],
        association=fits.rows if fits else [],
        vectors=index.store.has(name, "images"),
        problem=problem,
        answers=answers,
    )


def _values(
    index: Index, model: str, colour: str, rows: list[dict[str, Any]], lit: Answer | None
) -> Mapping[str, float | None]:
    """Return the number of each head that the grid shows, 0 to 1 where it has one."""
    if lit is not None:
        return {row["head"]: row["explained"] for row in lit.rows}
    if colour == "fit":
        return dict(index.execute(_FITS, {"model": model}).fetchall())
    if colour == "confidence":
        return {row["head"]: row["share"] if row["confidence"] is None else row["confidence"] for row in rows}
    return {row["head"]: row["variance"] for row in rows}


def _effects(
    site: Site, index: Index, model: str, rows: list[dict[str, Any]], target: str | None
) -> tuple[dict[str, float], Answer | None, str | None]:
    """Return the accuracy that each head's contribution makes up, and the first answer; or why there is none."""
    if len(rows) * site.frame(index).images > MOST_EFFECTS:
        advice = "`clipdb query ablate --heads L3.H0` tells the effect of one head or of a set"
        return {}, None, f"the index is too large for a page to take off each of its {len(rows)} heads: {advice}"
    found: dict[str, float] = {}
    first = None
    for row in rows:
        answer, problem = tried(
            lambda head=row["head"]: site.ask(  # type: ignore[misc]
                index, "ablate", 1, model=model, heads=head, target=target, control=0
            )
        )
        if answer is None:
            return {}, None, problem
        first = first or answer
        found[row["head"]] = answer.rows[0]["before"] - answer.rows[0]["after"]
    return found, first, None


def _properties(site: Site, index: Index, rows: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Give each head its hue; return the properties with their hues and how many heads carry each, most first."""
    names = index.execute(
        "select property, normal_property(property) from (select unnest($names) as property)",
        {"names": [row["property"] for row in rows if row["property"] is not None]},
    ).fetchall()
    keys = dict(names)
    counts: dict[str, int] = {}
    for row in rows:
        if row["property"] is not None:
            row["hue"] = site.frame(index).palette.get(keys[row["property"]])
            counts[keys[row["property"]]] = counts.get(keys[row["property"]], 0) + 1
    palette = site.frame(index).palette
    return sorted(((one, palette.get(one, 0), number) for one, number in counts.items()), key=lambda x: (-x[2], x[0]))


ROUTES = [Route("/models/{arch}/{pretrained}", model)]
