"""Two models or two heads side by side."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.answering import Answer
from clipdb.explorer.likeness import likeness_images
from clipdb.explorer.problems import STATUS
from clipdb.explorer.site import Site, asked, page, tried
from clipdb.pictures.charts import charted
from clipdb.queries.index import Index
from clipdb.schema.names import head_name, parse_head

ROWS = 200
DRIFTED = 10
PICTURES = 6
_ALL = 10_000  # heads: more than any model has

_NAMES = "select model_id || '/' || name from heads order by model_id, layer, head"


@page
def compare(site: Site, index: Index, request: Request) -> Response:
    """Show what two models have in common, or what two heads do; without both, a form that asks for them."""
    given = asked(request, "a", "b")
    models, status = site.frame(index).models, 200
    context: dict[str, Any] = {"problem": None, "models": None, "heads": None, "answers": []}
    if {"a", "b"} <= given.keys():
        of_models = given["a"] in models and given["b"] in models
        try:
            context |= (_models if of_models else _heads)(site, index, given["a"], given["b"])
        except ClipdbError as error:
            if error.kind == "busy":
                raise
            context["problem"], status = str(error), STATUS[error.kind]
    names = [name for (name,) in index.execute(_NAMES).fetchall()]
    return site.render(
        request, "compare.html", index, status, here="compare", given=given, choices=[*models, *names], **context
    )


def _models(site: Site, index: Index, a: str, b: str) -> dict[str, Any]:
    images = likeness_images(index, a, b)
    found, problem = tried(lambda: site.ask(index, "compare", ROWS, a=a, b=b, images=images))
    drifted, _ = tried(lambda: site.ask(index, "drift", DRIFTED, model=b, base=a, images=images))
    counts: dict[str, int] = {}
    for row in found.rows if found else []:
        if row["label"] is not None:
            counts[row["label"]] = counts.get(row["label"], 0) + 1
    return {
        "problem": problem,
        "models": {"found": found, "drifted": drifted, "counts": counts, "chart": "compare" in charted()},
        "answers": [one for one in (found, drifted) if one is not None],
    }


def _heads(site: Site, index: Index, a: str, b: str) -> dict[str, Any]:
    (one, head), (other, other_head) = (_split(site, index, name) for name in (a, b))
    sides = [_side(site, index, *each) for each in ((one, head), (other, other_head))]
    images = likeness_images(index, one, other)
    if one == other:
        likeness, _ = tried(lambda: site.ask(index, "alike", _ALL, model=one, head=head, images=images))
    else:
        likeness, _ = tried(lambda: site.ask(index, "match", _ALL, a=one, b=other, head=head, k=_ALL, images=images))
    row = next((row for row in likeness.rows if row["other"] == other_head), None) if likeness else None
    spans = [{row["span"] for row in side["card"].rows} for side in sides]
    answers = [likeness, *(answer for side in sides for answer in (side["card"], side["images"]))]
    return {
        "heads": {"sides": sides, "likeness": row, "common": spans[0] & spans[1] - {None}},
        "answers": [one for one in answers if one is not None],
    }


def _split(site: Site, index: Index, name: str) -> tuple[str, str]:
    """Return the model and the head that ``ARCH/PRETRAINED/L11.H3`` names; the model may be left out."""
    model, _, head = name.rpartition("/")
    key, models = parse_head(head), list(site.frame(index).models)
    if not model and len(models) > 1:
        raise ClipdbError(f"this index has several models: name the one of {head}, as in {models[0]}/{head}")
    return index.context.model(model or None), head_name(*key)


def _side(site: Site, index: Index, model: str, head: str) -> dict[str, Any]:
    card: Answer = site.ask(index, "head", model=model, head=head)
    images, no_images = tried(lambda: site.ask(index, "activating", model=model, head=head, k=PICTURES))
    return {"model": model, "head": head, "card": card, "images": images, "none": no_images}


ROUTES = [Route("/compare", compare)]
