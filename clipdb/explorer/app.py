"""The explorer as an ASGI application."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import duckdb
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError
from clipdb.explorer import pages, problems
from clipdb.explorer.guard import LOOPBACK, MOST_BYTES, Guard, TooLarge
from clipdb.explorer.site import Site


def create_app(
    site: Site, hosts: Collection[str] = (), framed: bool = False, started: Callable[[], None] | None = None
) -> Starlette:
    """Make the application that shows an index.

    Parameters
    ----------
    site
        The index; it is closed when the application ends.
    hosts
        Names, besides those of this machine's loopback, under which it may be reached.
    framed
        Whether pages may be shown in a frame, as notebooks do.
    started
        Called when the application begins to answer.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if started is not None:
            started()
        yield
        site.close()

    app = Starlette(
        routes=[*_routes(), Mount("/static", StaticFiles(packages=[("clipdb.explorer", "static")]), name="static")],
        middleware=[Middleware(Guard, hosts={*LOOPBACK, *hosts}, framed=framed)],
        exception_handlers={
            ClipdbError: _failed,
            duckdb.Error: _failed_sql,
            HTTPException: _refused,
            TooLarge: _too_large,
            UnicodeEncodeError: _not_text,
        },
        lifespan=lifespan,
    )
    app.state.site = site
    return app


def _routes() -> list[BaseRoute]:
    found: list[BaseRoute] = []
    for module in sorted(one.name for one in pkgutil.iter_modules(pages.__path__)):
        found += importlib.import_module(f"{pages.__name__}.{module}").ROUTES
    return found


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClipdbError)
    return problems.respond(request, problems.STATUS[error.kind], str(error), error)


def _failed_sql(request: Request, error: Exception) -> Response:
    return problems.respond(request, problems.STATUS["invalid"], first_line(error))


def _not_text(request: Request, _error: Exception) -> Response:
    return problems.respond(request, problems.STATUS["invalid"], "the address has letters that are no Unicode text")


def _too_large(request: Request, _error: Exception) -> Response:
    return problems.respond(request, 413, f"the file is larger than {MOST_BYTES // 2**20} MB")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and not request.url.path.startswith("/api"):
        return problems.respond(request, 404, f"there is no page {request.url.path}")
    return problems.respond(request, error.status_code, error.detail)
