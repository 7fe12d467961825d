"""How the explorer is: the index, its models' process, what is kept."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clipdb import __version__
from clipdb.explorer.site import Site, page
from clipdb.queries.holdings import holdings
from clipdb.queries.index import Index

_MADE = "select command, date_trunc('second', started_at) as started_at, run from runs order by run desc limit 10"


@page
def status(site: Site, index: Index, request: Request) -> Response:
    """Show what an operator wants to know."""
    made = index.execute(_MADE)
    columns = [column[0] for column in made.description or ()]
    runs = [dict(zip(columns, row, strict=True)) for row in made.fetchall()]
    pictures, size = site.thumbnails.size
    facts = {
        "Index": str(site.path),
        "clipdb": __version__,
        "Images": f"{site.frame(index).images:,}",
        "Model process": f"running, process {site.models.pid}"
        if site.models.pid
        else "not running: it starts when a text or an image is asked about that the index lacks",
        "Vectors in memory": f"{index.store.kept_bytes / 1e6:.1f} MB",
        "Thumbnails, all indexes": f"{pictures:,}, {size / 1e6:.1f} MB",
    }
    old = [note for *_, note in holdings(index).fetchall() if note and "`" in note]
    return site.render(request, "status.html", index, here="status", facts=facts, old=old, runs=runs, columns=columns)


ROUTES = [Route("/status", status)]
