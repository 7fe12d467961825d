"""Where in an image heads find a text, side by side; the model runs in its own process."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.model_client import Chosen
from clipdb.explorer.pages.image import described
from clipdb.explorer.site import Site, asked, page
from clipdb.queries.index import Index
from clipdb.schema.names import head_name, parse_head

MOST_HEADS = 8


@page
def segment(site: Site, index: Index, request: Request) -> Response:
    """Show a map for each head that is named, or one for all heads, or for those of a property."""
    model = site.model_of(index, request)
    about = described(site, index, request.path_params["image"])
    given = asked(request, "text", "against", "head", "property")
    wanted = _wanted(given) if "text" in given else {}
    found = _segmented(site, about, model, given, list(wanted.values())) if wanted else []
    maps = [one | {"title": title} for title, one in zip(wanted, found, strict=True)]
    return site.render(
        request,
        "segment.html",
        index,
        model=model,
        here="images",
        about=about,
        given=given,
        maps=maps,
        said=site.models.said([given[one] for one in ("text", "against") if one in given]),
        commands=[_command(site, about, model, given, heads) for heads, _ in wanted.values()],
    )


@page
def panel(site: Site, index: Index, request: Request) -> Response:
    """Return a picture of a segmentation, ``plain`` or ``mapped``."""
    model = site.model_of(index, request)
    about = described(site, index, request.path_params["image"])
    given = asked(request, "text", "against", "head", "property")
    if "text" not in given:
        raise ClipdbError("there is no text: write what to look for")
    [found] = _segmented(site, about, model, given, list(_wanted(given).values())[:1])
    picture = found["plain" if request.path_params["kind"] == "plain" else "mapped"]
    return Response(picture, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _wanted(given: Mapping[str, str]) -> dict[str, Chosen]:
    """Return, by the title of each map, whose it is."""
    if "head" in given:
        names = [head_name(*parse_head(one)) for one in given["head"].split(",") if one.strip()]
        if not 0 < len(names) <= MOST_HEADS:
            raise ClipdbError(f"name 1 to {MOST_HEADS} heads, and these are {len(names)}")
        return {name: ((name,), None) for name in names}
    if "property" in given:
        return {f"heads of {given['property']}": ((), given["property"])}
    return {"all heads of the index": ((), None)}


def _segmented(
    site: Site, about: Mapping[str, Any], model: str, given: Mapping[str, str], chosen: Sequence[Chosen]
) -> list[dict[str, Any]]:
    image = str(site.uploads.path(about["image_id"]) if about["brought"] else about["image_id"])
    return site.models.segments(model, image, given["text"], given.get("against"), chosen)


def _command(site: Site, about: Mapping[str, Any], model: str, given: Mapping[str, str], heads: Sequence[str]) -> str:
    words = ["clipdb", "segment", about["uri"] if about["brought"] else about["image_id"]]
    for option in ("text", "against", "property"):
        if option in given and not (option == "property" and heads):
            words += [f"--{option}", given[option]]
    for head in heads:
        words += ["--head", head]
    return shlex.join([*words, "--model", model, "-i", str(site.path)])


ROUTES = [
    Route("/models/{arch}/{pretrained}/images/{image}/segment", segment),
    Route("/models/{arch}/{pretrained}/images/{image}/segment/{kind}.webp", panel),
]
