"""`clipdb.export_pages`: the explorer of an index as files that any host of static files serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError, require
from clipdb.schema.names import is_url

IMAGES = 1200
"""Images that pages go through, unless more or fewer are asked for: twenty pages of them."""

FREEZING = "freezing pages"


@dataclass(frozen=True)
class FrozenPages:
    """What was frozen.

    Attributes
    ----------
    files, bytes
        How many files, and their size.
    images, of
        How many images may be looked through, and how many the index has.
    without_picture
        How many of them have no picture, since their files are gone or changed.
    """

    files: int
    bytes: int
    images: int
    of: int
    without_picture: int


def export_pages(
    index: str | Path,
    directory: str | Path,
    *,
    without_images: bool = False,
    images: int = IMAGES,
    replace: bool = False,
    progress: Shown = True,
) -> FrozenPages:
    """Freeze the explorer into a folder that any host of static files serves; the same index gives the same bytes.

    Whoever reaches the pages sees small pictures of images, the names of their files and their labels. What needs a
    server is left out: words of a visitor's own, pictures, SQL. The nearest images of an image are found in the
    browser.

    Parameters
    ----------
    index
        The directory of an index or of an export, or the export's URL.
    directory
        Where to; it is there whole or not at all.
    without_images
        Leave out pictures, the names of files and labels, and with them the search for nearest images.
    images
        At most how many images go in, in the order of their ids, which is a random one; those that activate heads most
        and least go in besides.
    replace
        Replace frozen pages that are there already.
    progress
        See `clipdb.api.progress.Shown`.

    Raises
    ------
    ClipdbError
        If the index can't be read, or the directory can't be written or holds something else.
    MissingExtra
        If the packages of the extra ``ui`` are not installed.

    Examples
    --------
    >>> done = clipdb.export_pages("mine.clipdb", "pages", progress=False)
    >>> done.images, done.of
    (12, 12)
    """
    if is_url(directory):
        raise ClipdbError(f"{directory} is a URL: export to a directory and upload that")
    if images < 1:
        raise ClipdbError("images is at least 1: leave images out with without_images")
    for module in ("starlette", "jinja2", "python_multipart", "PIL"):
        require(module, "ui")
    from clipdb.artefact.export.export_directory import building
    from clipdb.explorer.frozen.freezing import freeze
    from clipdb.explorer.frozen.frozen_site import FrozenSite
    from clipdb.explorer.frozen.marker import PAGES, mark

    site = FrozenSite(index, not without_images)
    try:
        with (
            stage_progress(progress, FREEZING) as told,
            building(Path(directory), replace, PAGES) as root,
            site.reading() as opened,
        ):
            shown, without_picture = freeze(
                site, opened, root, 0 if without_images else images, lambda done, of: told(FREEZING, done, of)
            )
            files = mark(root)
            return FrozenPages(len(files), sum(files.values()), shown, site.frame(opened).images, without_picture)
    finally:
        site.close()
