"""One image: why it matches a text, and its neighbours as each property's heads see them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.answering import Answer
from clipdb.explorer.site import Site, aligner_of, asked, page, tried
from clipdb.queries.index import Index

NEIGHBOURS = 8
HEADS = 12
"""Bars by head; the rest is one bar."""

_PARTITIONS = "select distinct partition from heads where model_id = $model order by partition"

SUREST = """
select name, property, property_key from head_properties
where model_id = $model
qualify row_number() over (
    partition by property_key order by coalesce(confidence, share) desc nulls last, layer desc, head
) = 1
order by property_key
"""
"""Of each property, the head that carries it most surely."""


@page
def image(site: Site, index: Index, request: Request) -> Response:
    """Show an image of the index, or one that was brought."""
    model = site.model_of(index, request)
    about = described(site, index, request.path_params["image"])
    given = asked(request, "text", "text_b", "image_b", "like", "unlike", "through", "partition", "words")
    partitions = [one for (one,) in index.execute(_PARTITIONS, {"model": model}).fetchall()]
    if len(partitions) > 1:  # each splits the cosine in its own way: one has to be chosen
        given = {"partition": partitions[0], **given}
    shares, unexplained = _shares(site, index, model, about["image_id"], given)
    words, wordless = None, None
    if "text" in given and "words" in given:
        about_text = {"image": about["image_id"], "text": given["text"], "by": "token"}
        words, wordless = tried(lambda: site.ask(index, "text_contributions", model=model, **about_text))
    chosen, not_chosen = None, None
    if given.keys() & {"like", "unlike"}:
        sides = {side: given.get(side) for side in ("like", "unlike")}
        chosen, not_chosen = tried(lambda: _neighbours(site, index, "property_neighbours", model, about, **sides))
    through, not_through = None, None
    if "through" in given:
        through, not_through = tried(
            lambda: _neighbours(site, index, "neighbours", model, about, head=given["through"])
        )
    whole, problem = tried(lambda: _neighbours(site, index, "embedding_neighbours", model, about))
    strips = []
    for name, property, key in index.execute(SUREST, {"model": model}).fetchall() if whole else ():
        seen, unseen = tried(lambda name=name: _neighbours(site, index, "neighbours", model, about, head=name))  # type: ignore[misc]
        hue = site.frame(index).palette.get(key)
        strips.append({"head": name, "property": property, "hue": hue, "seen": seen, "unseen": unseen})
    answers = [*shares.values(), words, through, chosen, whole, *(strip["seen"] for strip in strips)]
    return site.render(
        request,
        "image.html",
        index,
        model=model,
        here="images",
        aligner=aligner_of(index, model),
        about=about,
        given=given,
        partitions=partitions,
        shares={by: _bars(answer.rows, site, index) for by, answer in shares.items()},
        total=sum(row["share"] for row in shares["property"].rows) if shares else None,
        unexplained=unexplained,
        words=_lit(words.rows) if words else None,
        wordless=wordless,
        chosen=chosen,
        not_chosen=not_chosen,
        through=through,
        not_through=not_through,
        whole=whole,
        strips=strips,
        problem=problem,
        answers=[one for one in answers if one is not None],
    )


def described(site: Site, index: Index, image: str) -> dict[str, Any]:
    """Return what is known of an image of the index, or of one that was brought.

    Raises
    ------
    ClipdbError
        If there is none.
    """
    found = index.execute(
        "select image_id, uri, width, height, format, label, metadata::varchar as metadata "
        "from images where image_id = $image",
        {"image": image},
    )
    columns = [column[0] for column in found.description or ()]
    if row := found.fetchone():
        return dict(zip(columns, row, strict=True)) | {"brought": False}
    if (name := site.uploads.name(image)) is not None:
        return dict.fromkeys(columns) | {"image_id": image, "uri": name, "brought": True}
    raise ClipdbError(
        f"no image {image[:64]} in this index; one that was brought is forgotten when the server stops", kind="absent"
    )


def _neighbours(site: Site, index: Index, query: str, model: str, about: dict[str, Any], **given: Any) -> Answer:
    return site.ask(index, query, model=model, image=about["image_id"], k=NEIGHBOURS, **given)


def _shares(site: Site, index: Index, model: str, image_id: str, given: Any) -> tuple[dict[str, Answer], str | None]:
    """Ask why the image matches a text, or another image, summed in each way; or say why that can't be told."""
    if "text" in given:
        query, others = "contributions", {"text": given["text"], "text_b": given.get("text_b")}
    elif "image_b" in given:
        query, others = "image_contributions", {"image_b": given["image_b"]}
    else:
        return {}, None
    others["partition"] = given.get("partition")
    found: dict[str, Answer] = {}
    for by in ("property", "layer", "head"):
        answer, problem = tried(
            lambda by=by: site.ask(index, query, model=model, image=image_id, by=by, **others)  # type: ignore[misc]
        )
        if answer is None:
            return {}, problem
        found[by] = answer
    return found, None


def _bars(rows: list[dict[str, Any]], site: Site, index: Index) -> list[dict[str, Any]]:
    """Make bars of shares, as parts of the largest; beyond the largest, heads are one bar, so that all add up."""
    heads = [row for row in rows if row["heads"]]
    shown = heads[:HEADS] if len(heads) > HEADS + 1 else heads
    rest = heads[len(shown) :]
    bars = [*shown, *(row for row in rows if not row["heads"])]
    if rest:
        summed = {"part": f"{len(rest)} other heads", "property": None, "share": sum(row["share"] for row in rest)}
        bars.insert(len(shown), summed)
    most = max((abs(row["share"]) for row in bars), default=0) or 1
    palette = site.frame(index).palette
    return [row | {"length": row["share"] / most, "hue": palette.get(row["property"] or row["part"])} for row in bars]


def _lit(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each token its step of the scale, 0 to 7, by its share of the largest; the rest comes last, unlit."""
    most = max((abs(row["share"]) for row in rows if row["heads"]), default=0) or 1
    return [row | {"step": round(7 * abs(row["share"]) / most) if row["heads"] else None} for row in rows]


ROUTES = [Route("/models/{arch}/{pretrained}/images/{image}", image)]
