"""Review: a person decides on names of heads, one at a time, and each decision is on disk before the next head."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.decisions import Decisions
from clipdb.explorer.site import Site, asked, page, tried
from clipdb.ingest.names.people.decisions import Decision, property_name
from clipdb.queries.index import Index
from clipdb.queries.named.parameters import Parameter, convert
from clipdb.queries.reviews.cards import Card, review_cards
from clipdb.schema.names import head_name, parse_head

SPANS = 10
IMAGES = 12
OPTIONS = ("model", "labeller", "sample", "seed", "blind", "again")
"""What an address says of a review: those of `clipdb review`."""

_LABELLERS = "select distinct labeller from head_labels order by labeller"


@page
def start(site: Site, index: Index, request: Request) -> Response:
    """Say how many heads are decided and left, with a form that chooses which to show."""
    decisions, given = _decisions(site), asked(request, *OPTIONS)
    cards, problem = _tried(index, decisions, given)
    return site.render(
        request,
        "review.html",
        index,
        404 if problem else 200,
        here="review",
        given=given,
        reviewer=decisions.reviewer,
        problem=problem,
        decided=sum(card.reviewed for card in cards),
        left=len(_left(cards, given)),
        labellers=[name for (name,) in index.execute(_LABELLERS).fetchall()],
        command=_command(site, decisions, given),
    )


@page
def following(site: Site, index: Index, request: Request) -> Response:
    """Go to the first head that is left."""
    given = asked(request, *OPTIONS)
    return _onwards(_cards(index, _decisions(site), given), given)


@page
def head(site: Site, index: Index, request: Request) -> Response:
    """Show a head and ask for a decision."""
    decisions, given = _decisions(site), asked(request, *OPTIONS)
    cards = _cards(index, decisions, given)
    card = _card(cards, request)
    images, no_images = tried(lambda: site.ask(index, "activating", model=card.model_id, head=card.name, k=IMAGES))
    return site.render(
        request,
        "review_head.html",
        index,
        here="review",
        model=card.model_id,
        card=card,
        named=card.property is not None and "blind" not in given,
        given=given,
        options=urlencode(given),
        position=cards.index(card) + 1,
        number=len(cards),
        decided=sum(one.reviewed for one in cards),
        reviewer=decisions.reviewer,
        images=images.rows if images else [],
        no_images=no_images,
        answers=[images] if images else [],
    )


async def decide(request: Request) -> Response:
    """Take a decision; a skipped head is left as it is."""
    try:
        async with request.form(max_files=0, max_fields=4) as form:
            said = {name: str(form.get(name, "")) for name in ("decision", "property", "shown")}
    except HTTPException as error:  # which a form is that its parser doesn't understand
        raise ClipdbError(f"the form can't be read: {error.detail}") from error
    return await run_in_threadpool(_decided, request, said)


def _decided(request: Request, said: Mapping[str, str]) -> Response:
    site: Site = request.app.state.site
    decisions, given = _decisions(site), asked(request, *OPTIONS)
    with site.reading() as index:
        cards = _cards(index, decisions, given)
    card, blind = _card(cards, request), "blind" in given
    if said["decision"] == "skip":
        return _onwards(cards, given, card)
    number = decisions.begin(_decision(card, said, blind), blind)
    return RedirectResponse(f"{_address(card)}/written/{number}?{urlencode(given)}", 303)


def written(request: Request) -> Response:
    """Go to the next head when a decision is on disk."""
    site: Site = request.app.state.site
    decisions, given = _decisions(site), asked(request, *OPTIONS)
    decisions.wait(request.path_params["number"])
    with site.reading() as index:
        cards = _cards(index, decisions, given)
    return _onwards(cards, given, _card(cards, request))


def _decisions(site: Site) -> Decisions:
    if site.decisions is None:
        raise HTTPException(403, "nobody reviews here: `clipdb serve --reviewer NAME` lets NAME decide on names")
    return site.decisions


def _cards(index: Index, decisions: Decisions, given: Mapping[str, str]) -> list[Card]:
    numbers = {one: convert(Parameter(one, "integer", ""), given.get(one)) for one in ("sample", "seed")}
    if numbers["sample"] is not None and numbers["sample"] < 1:
        raise ClipdbError(f"--sample takes 1 or more, not {numbers['sample']}")
    model, labeller = given.get("model"), given.get("labeller")
    return review_cards(index, decisions.labeller, model, labeller, SPANS, numbers["sample"], numbers["seed"] or 0)


def _tried(index: Index, decisions: Decisions, given: Mapping[str, str]) -> tuple[list[Card], str | None]:
    try:
        return _cards(index, decisions, given), None
    except ClipdbError as error:
        return [], str(error)


def _left(cards: Sequence[Card], given: Mapping[str, str]) -> list[Card]:
    return [card for card in cards if "again" in given or not card.reviewed]


def _card(cards: Sequence[Card], request: Request) -> Card:
    model = "{arch}/{pretrained}".format(**request.path_params)
    layer, number = parse_head(request.path_params["head"])
    for card in cards:
        if (card.model_id, card.layer, card.head) == (model, layer, number):
            return card
    raise ClipdbError(f"{model} {head_name(layer, number)} is not among the heads to review", kind="absent")


def _onwards(cards: Sequence[Card], given: Mapping[str, str], after: Card | None = None) -> Response:
    """Go to the first head that is left after another, or to the start, which says what is left."""
    later = cards if after is None else cards[cards.index(after) + 1 :]
    card = next(iter(_left(later, given)), None)
    return RedirectResponse(f"{_address(card) if card else '/review'}?{urlencode(given)}", 303)


def _address(card: Card) -> str:
    return f"/review/{quote(card.model_id)}/{card.name}"


def _decision(card: Card, said: Mapping[str, str], blind: bool) -> Decision:
    """Make the decision; on the name that the page showed, which may not be the head's any more."""
    if said["decision"] in ("accept", "reject"):
        if blind or not said["shown"]:
            raise ClipdbError("no name is shown to accept or reject: write your own")
        property = said["shown"]
    elif said["decision"] == "rename":
        property = said["property"]
    else:
        raise ClipdbError(f"{said['decision'][:40]!r} is no decision: it is accept, rename, reject or skip")
    rejected = said["decision"] == "reject"
    return Decision(card.model_id, card.layer, card.head, card.pool, property_name(property), rejected)


def _command(site: Site, decisions: Decisions, given: Mapping[str, Any]) -> str:
    words = ["clipdb", "review", "--reviewer", decisions.reviewer]
    for name in OPTIONS:
        if name in given:
            words += [f"--{name}"] if name in ("blind", "again") else [f"--{name}", given[name]]
    return shlex.join([*words, "-i", str(site.path)])


_HEAD = "/review/{arch}/{pretrained}/{head}"
ROUTES = [
    Route("/review", start),
    Route("/review/next", following),
    Route(_HEAD, head),
    Route(_HEAD, decide, methods=["POST"]),
    Route(f"{_HEAD}/written/{{number:int}}", written),
]
