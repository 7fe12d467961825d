"""Write the pages of an explorer, with the pictures and vectors that they need, into a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clipdb.explorer.frozen.frozen_site import Frozen, FrozenSite
from clipdb.explorer.frozen.nearest import add_nearest
from clipdb.explorer.frozen.page_folder import Folder
from clipdb.explorer.frozen.plan import plan
from clipdb.queries.index import Index

_GALLERY = "select image_id from images order by image_id limit $most"
_CARD = """---
title: "{title}"
sdk: static
---

What the heads of {title} do. clipdb froze these pages: any host of static files shows them, from `index.html` on.
"""


def freeze(
    site: FrozenSite, index: Index, root: Path, images: int, progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Write all files but the one that says that they are whole.

    Parameters
    ----------
    site, index
        What is shown.
    root
        The folder.
    images
        At most how many images go in besides those of heads; with 0 no image at all.
    progress
        Is told how many of how many pages are written.

    Returns
    -------
    tuple of int
        How many images go in, and how many of them have no picture.
    """
    gallery = [one for (one,) in index.execute(_GALLERY, {"most": images}).fetchall()]
    models = site.frame(index).models
    searched = [one for one in models if gallery and index.store.has(one, "images")]
    site.last = gallery[-1] if gallery else None
    site.templates.globals["frozen"] = Frozen(len(gallery))
    pages = plan(site, index, gallery)
    folder = Folder(root, site, index, pages, searched)
    done: set[str] = set()
    for address, file in pages.items():
        if file not in done and not (address == "/" and len(models) == 1):  # which only leads to the model
            folder.add_page(file, address, site.get(address))
            done.add(file)
            progress(len(done), len(set(pages.values())))
    for image_id in gallery:
        folder.picture(image_id)
    for model in searched:
        add_nearest(site, index, root, folder, model)
    folder.add("README.md", _CARD.format(title=next(iter(models), "an index")).encode())
    folder.add(".nojekyll", b"")
    return len(folder.shown), folder.without_picture
