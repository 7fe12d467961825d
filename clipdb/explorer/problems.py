"""What went wrong, as a page for people and as problem details (RFC 9457) for programs."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clipdb.errors import ClipdbError
from clipdb.explorer.decisions import NotWritten
from clipdb.explorer.model_client import ModelBusy
from clipdb.explorer.site import Site

STATUS = {"absent": 404, "invalid": 422, "busy": 503, "missing": 501, "newer": 501}
"""Of an answer, by the kind of the error."""

_ASK_AGAIN_SECONDS = "2"


def respond(request: Request, status: int, detail: str, error: ClipdbError | None = None) -> Response:
    """Say what went wrong.

    Parameters
    ----------
    request
        What was asked.
    status
        Of the answer.
    detail
        What is wrong and what to do about it, in one line.
    error
        The error behind it. A page that waits for a model or a writer asks again by itself.
    """
    site: Site = request.app.state.site
    if request.url.path.startswith("/api/"):
        return problem(status, site.shown(detail), error)
    if isinstance(error, ModelBusy | NotWritten) and request.method == "GET":
        page = _page(site, request, "busy.html", 202, detail)  # no error: the page is being made
        page.headers["Refresh"] = _ASK_AGAIN_SECONDS
        return page
    return _page(site, request, "problem.html", status, detail)


def problem(status: int, detail: str, error: ClipdbError | None = None) -> Response:
    """Make problem details: their members, and the kind of the error."""
    members = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if error is not None:
        members["kind"] = error.kind
    headers = {"Retry-After": _ASK_AGAIN_SECONDS} if status in (429, 503) else None
    return JSONResponse(members, status, headers, "application/problem+json")


def _page(site: Site, request: Request, template: str, status: int, detail: str) -> Response:
    title = HTTPStatus(status).phrase
    try:
        with site.reading() as index:
            return site.render(request, template, index, status, title=title, detail=detail)
    except ClipdbError as unreadable:  # the index is gone, say: the page has no frame then
        detail = detail if status == 202 else str(unreadable)
        return site.render(request, template, None, status, title=title, detail=detail)
