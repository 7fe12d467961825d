"""The first page: the models of the index."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from clipdb.explorer.site import Site, page, tried
from clipdb.queries.index import Index


@page
def home(site: Site, index: Index, request: Request) -> Response:
    """Show a card for each model; where there is one, its page."""
    models = site.frame(index).models
    if len(models) == 1:
        return RedirectResponse(f"/models/{quote(next(iter(models)))}", 307)
    shared, _ = tried(lambda: site.ask(index, "entanglement"))
    fits, _ = tried(lambda: site.ask(index, "association"))
    layers, problem = tried(lambda: site.ask(index, "layers"))
    cards = {
        model: {
            "heads": heads,
            "entanglement": next((row for row in shared.rows if row["model_id"] == model), None) if shared else None,
            "association": [row for row in fits.rows if row["model_id"] == model] if fits else [],
            "layers": [row for row in layers.rows if row["model_id"] == model] if layers else [],
        }
        for model, heads in models.items()
    }
    answers = [one for one in (layers, shared, fits) if one is not None]
    return site.render(request, "home.html", index, cards=cards, problem=problem, answers=answers, here="models")


ROUTES = [Route("/", home)]
