"""Which pages are frozen, and the file of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from clipdb.explorer.pages.images import ON_A_PAGE
from clipdb.explorer.pages.model import COLOURS
from clipdb.explorer.site import Site, tried
from clipdb.queries.index import Index
from clipdb.schema.names import model_slug

INDEX = "index.html"

SPANS = 3
"""Of each head, which get a page of the images along them: as many as the grid of heads sums up."""

_HEADS = "select name from heads where model_id = $model order by layer, head"
_SPANS = """
select distinct name, rank from head_spans join heads using (model_id, layer, head)
where model_id = $model and rank <= $spans order by all
"""


def canonical(address: str) -> str:
    """Write an address of the explorer in the one way in which a plan has it."""
    parts = urlsplit(address)
    query = urlencode(sorted(parse_qsl(parts.query)))
    return quote(unquote(parts.path)) + (f"?{query}" if query else "")


def plan(site: Site, index: Index, gallery: Sequence[str]) -> dict[str, str]:
    """Choose the pages that are frozen.

    Parameters
    ----------
    site, index
        What is shown.
    gallery
        The images whose pages are frozen, in the order of their ids; none where pictures are left out.

    Returns
    -------
    dict
        The file of each page, relative to the folder, by the page's address as `canonical` writes it.
    """
    models = list(site.frame(index).models)
    files = {"/": INDEX, "/properties": "properties.html"}
    for model in models:
        base, folder = f"/models/{model}", model_slug(model)
        first = INDEX if len(models) == 1 else f"{folder}/{INDEX}"
        files[base] = first
        for colour in COLOURS:
            files[f"{base}?colour={colour}"] = first if colour == "property" else f"{folder}/colour-{colour}.html"
        for (head,) in index.execute(_HEADS, {"model": model}).fetchall():
            files[f"{base}/heads/{head}"] = f"{folder}/heads/{head}.html"
        if gallery and index.store.has(model, "images"):
            for head, rank in index.execute(_SPANS, {"model": model, "spans": SPANS}).fetchall():
                files[f"{base}/heads/{head}?span={rank}"] = f"{folder}/heads/{head}.span-{rank}.html"
            files[f"{base}/images"] = f"{folder}/images.html"
            for number, last in enumerate(gallery[ON_A_PAGE - 1 : -1 : ON_A_PAGE], 2):
                files[f"{base}/images?after={last}"] = f"{folder}/images-{number}.html"
    properties, _ = tried(lambda: site.ask(index, "properties"))
    for name in sorted({row["property"] for row in properties.rows} if properties else ()):
        files[quote(f"/properties/{name}")] = f"properties/{_file_name(name)}.html"
    return files


def nearest_file(model: str) -> str:
    """Name the page that finds images which are near one."""
    return f"{model_slug(model)}/nearest.html"


def vectors_file(model: str) -> str:
    """Name the file of vectors that this page reads."""
    return f"{model_slug(model)}/vectors.parquet"


def _file_name(name: str) -> str:
    """Make a file's name of anything: names that differ stay different, on disks that don't tell A from a, too."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return slug if slug == name else f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
