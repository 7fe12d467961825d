"""The page that finds the nearest images of an image in the browser."""

from __future__ import annotations

from pathlib import Path

from clipdb.explorer.frozen.frozen_site import FrozenSite
from clipdb.explorer.frozen.page_folder import Folder
from clipdb.explorer.frozen.plan import nearest_file, vectors_file
from clipdb.explorer.frozen.vector_file import write_vectors
from clipdb.explorer.pages.image import SUREST
from clipdb.queries.index import Index
from clipdb.schema.names import head_column, head_name

_IMAGES = "select image_id, uri, label from images where image_id in (select unnest($ids)) order by image_id"
_PROPERTIES = "select name, property from head_properties where model_id = $model"


def add_nearest(site: FrozenSite, index: Index, root: Path, folder: Folder, model: str) -> None:
    """Write the page of a model, and the vectors that it compares: those of the images that are in the folder.

    Parameters
    ----------
    site, index
        What is shown.
    root, folder
        Where to.
    model
        Which has vectors of images.
    """
    found = index.execute(_IMAGES, {"ids": folder.shown})
    columns = [column[0] for column in found.description or ()]
    rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    with_vectors = {one.decode() for one in index.store.ids(model, "images")}
    images = [row for row in rows if row["image_id"] in with_vectors]
    file = root / vectors_file(model)
    footer = write_vectors(file, index, model, images, folder.picture)

    properties = dict(index.execute(_PROPERTIES, {"model": model}).fetchall())
    columns_of = {head_name(*head): head_column(*head) for head in index.store.heads(model)}
    palette = site.frame(index).palette
    surest = index.execute(SUREST, {"model": model}).fetchall()
    address = f"/models/{model}/nearest"
    page = site.render(
        site.request(address),
        "nearest.html",
        index,
        model=model,
        here="images",
        vectors={"file": file.name, "bytes": file.stat().st_size, "footer": footer, "images": len(images)},
        heads=[{"name": name, "column": columns_of[name], "property": properties.get(name)} for name in columns_of],
        strips=[
            {"head": name, "column": columns_of[name], "property": property, "hue": palette.get(key)}
            for name, property, key in surest
            if name in columns_of
        ],
    )
    folder.add_page(nearest_file(model), address, bytes(page.body).decode())
