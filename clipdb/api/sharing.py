"""`clipdb.export`, the imports, `verify` and `upgrade`: an index as others have it, and whether it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipdb._util.stages import Stages
from clipdb.api.opening import open as open_index
from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError, require
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    from clipdb.artefact.export.exporting import Exported
    from clipdb.artefact.format import File, What
    from clipdb.artefact.merge.importing import Imported as Merged
    from clipdb.ingest.names.published.published_names import Imported
    from clipdb.queries.checks import Check


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
    with stage_progress(progress) as told:
        return export_index(Path(index), Path(directory), options, thumbnail if thumbnails else None, _Files(told))


def import_artefact(
    index: str | Path,
    directory: str | Path,
    *,
    prefer: Literal["ours", "theirs"] | None = None,
    progress: Shown = True,
) -> Merged:
    """Bring what `export` wrote into an index, a new one or one that is there: all of it or nothing.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    directory
        The export.
    prefer
        Which to keep where the two differ. Default: that is an error.
    progress
        See `clipdb.api.progress.Shown`.

    Returns
    -------
    Imported
        ``rows`` and ``vectors``, each with what was ``added``, ``skipped`` and ``replaced``; and ``notes``.

    Raises
    ------
    ClipdbError
        One line that says what is wrong and what to do; the index is as it was.

    Examples
    --------
    >>> clipdb.import_artefact("copy.clipdb", "shared", progress=False).vectors.skipped
    0
    """
    if is_url(directory):
        raise ClipdbError(
            f"{directory} is a URL: download it and import that, or ask it with `clipdb query -i {directory}`"
        )
    from clipdb.artefact.merge import import_artefact as merge
    from clipdb.artefact.merge.importing import Progress

    with stage_progress(progress) as told:
        rows = _Rows(told)
        return merge(Path(index), Path(directory), prefer, Progress(rows.expect, rows.add))


def import_spans(index: str | Path, file: str | Path, *, source: str, model: str | None = None) -> Imported:
    """Import published spans, which ``source`` serves as their pool.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    file
        CSV or Parquet with the columns model, pretrained, layer, head, rank and text.
    source
        Short name of where they come from.
    model
        ``ARCH/PRETRAINED`` of all rows, if no column says it.

    Returns
    -------
    Imported
        Rows ``added`` and ``skipped``, ``heads`` and ``models`` of the file, and columns that were ``ignored``.

    Raises
    ------
    ClipdbError
        If a cell isn't what it has to be; it names the line.

    Examples
    --------
    >>> rows = "model,pretrained,layer,head,rank,text\\nViT-L-14,openai,22,3,1,red things\\n"
    >>> _ = Path("spans.csv").write_text(rows)
    >>> clipdb.import_spans("mine.clipdb", "spans.csv", source="paper").models
    ['ViT-L-14/openai']
    """
    from clipdb.ingest.names.published.published_names import import_published

    return import_published(Path(index), "spans", Path(file), source, model)


def import_labels(index: str | Path, file: str | Path, *, source: str, model: str | None = None) -> Imported:
    """Import published names of heads, as labels by ``import:SOURCE``.

    Parameters
    ----------
    file
        CSV or Parquet with the columns model, pretrained, layer, head and property.
    index, source, model
        As in `import_spans`.

    Returns
    -------
    Imported
        As in `import_spans`.

    Raises
    ------
    ClipdbError
        If a cell isn't what it has to be; it names the line.

    Examples
    --------
    >>> _ = Path("names.csv").write_text("model,pretrained,layer,head,property\\nViT-L-14,openai,22,3,colour\\n")
    >>> clipdb.import_labels("mine.clipdb", "names.csv", source="paper").added
    1
    """
    from clipdb.ingest.names.published.published_names import import_published

    return import_published(Path(index), "labels", Path(file), source, model)


def import_reviews(index: str | Path, file: str | Path, *, model: str | None = None) -> tuple[int, int, list[str]]:
    """Import people's decisions, as ``clipdb export reviews`` writes them; the same file again changes nothing.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    file
        CSV or Parquet with the columns model, pretrained, layer, head, reviewer, decision and property.
    model
        ``ARCH/PRETRAINED`` of all rows, if no column says it.

    Returns
    -------
    added, skipped, ignored
        Rows that were written, rows that the index had, and columns that were not read.

    Raises
    ------
    ClipdbError
        If a cell isn't what it has to be; it names the line.

    Examples
    --------
    >>> _ = Path("reviews.csv").write_text(
    ...     "model,pretrained,layer,head,reviewer,decision,property,pool\\n"
    ...     "clipdb-tiny,scenes,3,1,ben,named,background,scenes\\n"
    ... )
    >>> clipdb.import_reviews("mine.clipdb", "reviews.csv")[0]
    1
    """
    from clipdb.ingest.names.people.decisions_import import import_reviews as bring

    return bring(Path(index), Path(file), model)


def verify(index: str | Path) -> list[Check]:
    """Check an index: every relation, and every vector.

    Parameters
    ----------
    index
        Directory of the index, or of an export.

    Returns
    -------
    list of Check
        One per check, with its ``problem``, or None.

    Raises
    ------
    ClipdbError
        If it can't be opened at all.

    Examples
    --------
    >>> [check for check in clipdb.verify("mine.clipdb") if check.problem]
    []
    """
    from clipdb.queries.checks import check_index

    with open_index(index) as opened:
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
    from clipdb.schema import catalog
    from clipdb.schema.upgrade import upgrade as bring_up

    catalog.require_index(Path(index))
    with writer_lock(Path(index)):
        return bring_up(Path(index))


class _Files:
    """Tells of files that are on disk."""

    def __init__(self, told: Stages) -> None:
        self._told, self._count = told, 0

    def __call__(self, file: File) -> None:
        self._count += 1
        self._told("exporting files", self._count, None)


class _Rows:
    """Tells of rows of vectors, of as many as are expected."""

    def __init__(self, told: Stages) -> None:
        self._told, self._done = told, 0
        self._total: int | None = None

    def expect(self, rows: int) -> None:
        self._total = rows

    def add(self, rows: int) -> None:
        self._done += rows
        self._told("vectors", self._done, self._total)
