"""Where in an image heads find a text, side by side; the model runs in its own process."""

from __future__ import annotations

import shlex
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.pages.image import described
from clipdb.explorer.site import Site, asked, page
from clipdb.queries.index import Index
from clipdb.schema.names import head_name, parse_head

MOST_HEADS = 8
_ALL = "all"


@page
def segment(site: Site, index: Index, request: Request) -> Response:
    """Show a map for each head that is named, or one for all heads, or for those of a property."""
    model = site.model_of(index, request)
    about = described(site, index, request.path_params["image"])
    given = asked(request, "text", "against", "head", "property")
    maps = []
    if "text" in given:
        for title, heads, property in _wanted(given):
            found = _segmented(site, about, model, given, heads, property)
            maps.append(found | {"title": title, "panel": heads[0] if heads else property or _ALL})
    return site.render(
        request,
        "segment.html",
        index,
        model=model,
        here="images",
        about=about,
        given=given,
        maps=maps,
        command=_command(site, about, model, given) if maps else None,
    )


@page
def panel(site: Site, index: Index, request: Request) -> Response:
    """Return a picture of a segmentation, ``plain`` or ``mapped``."""
    model = site.model_of(index, request)
    about = described(site, index, request.path_params["image"])
    given = asked(request, "text", "against", "head", "property")
    if "text" not in given:
        raise ClipdbError("there is no text: write what to look for")
    _, heads, property = _wanted(given)[0]
    found = _segmented(site, about, model, given, heads, property)
    picture = found["plain" if request.path_params["kind"] == "plain" else "mapped"]
    return Response(picture, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _wanted(given: Any) -> list[tuple[str, tuple[str, ...], str | None]]:
    """Return the title of each map, and its heads or their property."""
    if "head" in given:
        names = [head_name(*parse_head(one)) for one in given["head"].split(",") if one.strip()]
        if len(names) > MOST_HEADS:
            raise ClipdbError(f"name at most {MOST_HEADS} heads, and these are {len(names)}")
        return [(name, (name,), None) for name in names]
    if "property" in given:
        return [(f"heads of {given['property']}", (), given["property"])]
    return [("all heads of the index", (), None)]


def _segmented(
    site: Site, about: Any, model: str, given: Any, heads: tuple[str, ...], property: str | None
) -> dict[str, Any]:
    image = str(site.uploads.path(about["image_id"]) or about["image_id"]) if about["brought"] else about["image_id"]
    return site.models.segment(model, image, given["text"], given.get("against"), heads, property)


def _command(site: Site, about: Any, model: str, given: Any) -> str:
    words = ["clipdb", "segment", about["uri"] if about["brought"] else about["image_id"]]
    for option in ("text", "against", "head", "property"):
        if option in given:
            words += [f"--{option}", given[option]]
    return shlex.join([*words, "--model", model, "-i", str(site.path)])


ROUTES = [
    Route("/models/{arch}/{pretrained}/images/{image}/segment", segment),
    Route("/models/{arch}/{pretrained}/images/{image}/segment/{kind}.webp", panel),
]
