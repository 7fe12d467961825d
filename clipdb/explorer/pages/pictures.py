"""Pictures by id: decoded from the file that has this hash, and encoded again."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb.explorer.site import Site
from clipdb.explorer.thumbnails import LARGE_SIDE, SIDE, original, reencoded
from clipdb.queries.index import Index

_ID = re.compile(r"[0-9a-f]{64}")
_GONE = (Path(__file__).parents[1] / "static" / "gone.svg").read_bytes()
_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}  # an id is a hash of the content


def picture(request: Request) -> Response:
    """Return a small or a large picture; one that says so where the file is gone or changed."""
    site: Site = request.app.state.site
    image_id = request.path_params["image"]
    if _ID.fullmatch(image_id):
        small = request.url.path.endswith("/thumb")
        if (path := site.uploads.path(image_id)) is not None:
            data = reencoded(path.read_bytes(), SIDE if small else LARGE_SIDE)
        else:
            with site.reading() as index:
                data = site.thumbnails.get(index, image_id) if small else _large(site, index, image_id)
        if data is not None:
            return Response(data, media_type="image/webp", headers=_FOREVER)
    return Response(_GONE, 404, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


def _large(site: Site, index: Index, image_id: str) -> bytes | None:
    data = original(index, image_id)
    return site.thumbnails.get(index, image_id) if data is None else reencoded(data, LARGE_SIDE)


ROUTES = [Route(f"/images/{{image}}/{size}", picture) for size in ("thumb", "full")]
