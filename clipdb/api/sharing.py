"""`clipdb.export`, `verify` and `upgrade`: an index as others have it, and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb._util.stages import Stages
from clipdb.api.opening import open as open_index
from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError, require
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    from clipdb.artefact.export.exporting import Exported
    from clipdb.artefact.format import File, What
    from clipdb.queries.checks import Check


EXPORTING = "exporting files"


def export(
    index: str | Path,
    directory: str | Path,
    *,
    what: What = "all",
    models: Sequence[str] = (),
    layers: str | None = None,
    without_images: bool = False,
    thumbnails: bool = False,
    licence: str = "",
    citation: str = "",
    replace: bool = False,
    progress: Shown = True,
) -> Exported:
    """Write an index as Parquet files, with a manifest and a dataset card; the same index gives the same bytes.

    Parameters
    ----------
    index
        Directory of the index.
    directory
        Where to; it is there whole or not at all.
    what
        ``relations``; ``vectors``, with the models, heads and texts that they are of; or ``all``.
    models
        Models to export. Default: all.
    layers
        Whose heads to export. Default: all that are there.
    without_images
        Leave out where images came from: paths, metadata, arguments of commands.
    thumbnails
        Add a small JPEG of each image.
    licence, citation
        For the card and the manifest.
    replace
        Replace an export that is there already.
    progress
        See `clipdb.api.progress.Shown`.

    Returns
    -------
    Exported
        The ``manifest``, which lists every file, and how many images are ``without_thumbnail``.

    Raises
    ------
    ClipdbError
        If the index can't be read or lacks what was chosen, or the directory can't be written or holds something else.

    Examples
    --------
    >>> done = clipdb.export("mine.clipdb", "shared", licence="cc-by-4.0", progress=False)
    >>> done.manifest.what, "vectors/clipdb-tiny__scenes.images/00000.parquet" in [f.path for f in done.manifest.files]
    ('all', True)
    """
    if is_url(directory):
        raise ClipdbError(f"{directory} is a URL: export to a directory and upload that")
    if thumbnails and without_images:
        raise ClipdbError("thumbnails show the images that without_images keeps back: choose one of them")
    if thumbnails:
        require("PIL", "ingest")
    from clipdb.api.thumbnails import thumbnail
    from clipdb.artefact.export import Options, export_index

    options = Options(what, tuple(models), layers, not without_images, licence, citation, replace)
    with stage_progress(progress, EXPORTING) as told:
        return export_index(Path(index), Path(directory), options, thumbnail if thumbnails else None, _Files(told))


def verify(index: str | Path, *, storage_options: Mapping[str, str] | None = None) -> list[Check]:
    """Check an index: every relation, and every vector.

    Parameters
    ----------
    index
        Directory of the index, or of an export; or where one is in a store.
    storage_options
        What opens the store: see `clipdb.open`.

    Returns
    -------
    list of Check
        One per check, with its ``problem``, or None.

    Raises
    ------
    ClipdbError
        If it can't be opened at all, or a store fails meanwhile.

    Examples
    --------
    >>> [check for check in clipdb.verify("mine.clipdb") if check.problem]
    []
    """
    from clipdb.queries.checks import check_index

    with open_index(index, storage_options=storage_options) as opened:
        return list(check_index(opened))


def upgrade(index: str | Path) -> bool:
    """Bring an index of an older version of clipdb to this version's schema: all of it or nothing.

    Parameters
    ----------
    index
        Directory of the index.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    ClipdbError
        If there is no index, it is newer than this clipdb, or it can't be written.

    Examples
    --------
    >>> clipdb.upgrade("mine.clipdb")
    False
    """
    from clipdb.ingest.store.lock import writer_lock
    from clipdb.ingest.store.publishing import publish
    from clipdb.schema import catalog
    from clipdb.schema.upgrade import upgrade as bring_up

    catalog.require_index(Path(index))
    with writer_lock(Path(index)):
        if upgraded := bring_up(Path(index)):
            publish(Path(index), catalog.connect_writing(Path(index)))
        return upgraded


class _Files:
    """Tells of files that are on disk."""

    def __init__(self, told: Stages) -> None:
        self._told, self._count = told, 0

    def __call__(self, file: File) -> None:
        self._count += 1
        self._told(EXPORTING, self._count, None)
