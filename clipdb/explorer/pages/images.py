"""The images: a gallery, and a form for one's own."""

from __future__ import annotations

from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from clipdb.errors import ClipdbError
from clipdb.explorer.guard import MOST_BYTES
from clipdb.explorer.site import Site, asked, page, tried
from clipdb.queries.index import Index

ON_A_PAGE = 60


@page
def gallery(site: Site, index: Index, request: Request) -> Response:
    """Show a page of the images, in the order of their ids."""
    model = site.model_of(index, request)
    given = asked(request, "find", "after")
    found, problem = tried(lambda: site.ask(index, "images", k=ON_A_PAGE, **given))
    rows = found.rows if found else []
    return site.render(
        request,
        "images.html",
        index,
        model=model,
        here="images",
        rows=rows,
        next=rows[-1]["image_id"] if len(rows) == ON_A_PAGE else None,
        find=given.get("find"),
        after=given.get("after"),
        problem=problem,
        answers=[found] if found else [],
    )


async def upload(request: Request) -> Response:
    """Take a picture, and show its page."""
    site: Site = request.app.state.site
    site.access.require("uploads")
    try:
        async with request.form(max_files=1, max_fields=4, max_part_size=MOST_BYTES) as form:
            file = form.get("image")
            if not isinstance(file, UploadFile):
                raise ClipdbError("no file was chosen: choose a picture")
            data, name = await file.read(), file.filename or ""
    except HTTPException as error:  # which a form is that its parser doesn't understand
        raise ClipdbError(f"the form can't be read: {error.detail}") from error
    return await run_in_threadpool(_kept, site, request, data, name)


def _kept(site: Site, request: Request, data: bytes, name: str) -> Response:
    with site.reading() as index:
        model = site.model_of(index, request)
        image_id = site.uploads.add(data, name)
    return RedirectResponse(f"/models/{quote(model)}/images/{image_id}", 303)


ROUTES = [
    Route("/models/{arch}/{pretrained}/images", gallery),
    Route("/models/{arch}/{pretrained}/images", upload, methods=["POST"]),
]
