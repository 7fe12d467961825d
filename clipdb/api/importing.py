"""`clipdb.import_artefact`, `import_spans`, `import_labels`, `import_reviews`: what others made, in an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipdb._util.stages import Stages
from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    from clipdb.artefact.merge.merging import Imported as Merged
    from clipdb.ingest.names.people.decisions_import import Reviewed
    from clipdb.ingest.names.published.published_names import Imported


VECTORS = "vectors"


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
    from clipdb.artefact.merge.merging import Progress

    with stage_progress(progress, VECTORS) as told:
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
    return _published(index, "spans", file, source, model)


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
    return _published(index, "labels", file, source, model)


def _published(
    index: str | Path, kind: Literal["spans", "labels"], file: str | Path, source: str, model: str | None
) -> Imported:
    from clipdb.ingest.names.published.published_names import import_published

    return import_published(Path(index), kind, Path(file), source, model)


def import_reviews(index: str | Path, file: str | Path, *, model: str | None = None) -> Reviewed:
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
    Reviewed
        Rows ``added``, rows ``skipped`` because the index had them, and columns that were ``ignored``.

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
    >>> clipdb.import_reviews("mine.clipdb", "reviews.csv").added
    1
    """
    from clipdb.ingest.names.people.decisions_import import import_reviews as bring

    return bring(Path(index), Path(file), model)


class _Rows:
    """Tells of rows of vectors, of as many as are expected."""

    def __init__(self, told: Stages) -> None:
        self._told, self._done = told, 0
        self._total: int | None = None

    def expect(self, rows: int) -> None:
        self._total = rows

    def add(self, rows: int) -> None:
        self._done += rows
        self._told(VECTORS, self._done, self._total)
