"""`clipdb.open`: where reading an index and running its models meet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError, require
from clipdb.queries.index import Index
from clipdb.schema import catalog
from clipdb.schema.names import is_url

if TYPE_CHECKING:
    from clipdb.artefact.reading.in_place import Artefact
    from clipdb.models.embedder import Embedder
    from clipdb.models.model import Model

_kept: dict[Hashable, Model] | None = None


def keep_models() -> None:
    """Keep the models that indexes load from now on in memory, for those that are opened later."""
    global _kept
    _kept = {} if _kept is None else _kept


def open(
    path: str | Path,
    *,
    queries: Sequence[str | Path] = (),
    model: str | None = None,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    files: bool = True,
    models: bool = True,
) -> Index:
    """Open an index, or an export of one where it lies, for reading.

    Parameters
    ----------
    path
        The directory of an index or of an export, or the export's URL: ``https://``, ``hf://``, ``s3://``.
    queries
        Folders of named queries of your own.
    model
        The model that ``image_vectors`` and ``text_vectors`` stand for in SQL.
    device
        Where a model runs, if a question is about an image or a text that the index lacks: ``auto``, ``cpu``, ``cuda``.
    checkpoint
        The file of that model's weights, where it was ingested with one that is elsewhere now. A model of other
        weights is refused when it would run.
    files
        Whether an image in a question may be a file on this machine. Say False where strangers ask.
    models
        Whether models are loaded for images and texts that the index lacks. Say False where strangers ask.

    Raises
    ------
    ClipdbError
        If there is neither, or it can't be opened.

    Examples
    --------
    >>> with clipdb.open("mine.clipdb") as db:
    ...     db.sql("select count(*) from images").fetchone()
    ...     len(db.query.heads(property="background").fetchall()) > 0
    (12,)
    True
    """

    def embedder(opened: Index) -> Embedder:
        require("torch", "ingest")
        require("open_clip", "ingest")
        require("clipdb.models.embedder", "ingest")
        from clipdb.ingest.store.stored_models import OpenReader, StoredModels
        from clipdb.models.embedder import Embedder

        weights = None if checkpoint is None else Path(checkpoint)
        return Embedder(StoredModels(OpenReader(opened.path, opened.context.rows), device, weights), _kept)

    return open_with(path, embedder if models else without_models, queries=queries, model=model, files=files)


def open_with(
    path: str | Path,
    embedder: Callable[[Index], Embedder],
    *,
    queries: Sequence[str | Path] = (),
    model: str | None = None,
    files: bool = True,
) -> Index:
    """Open an index, or an export of one where it lies, whose models somebody else runs.

    Parameters
    ----------
    embedder
        Makes what embeds images and texts that the index lacks; called only when one is asked about.
    path, queries, model, files
        See `open`.

    Raises
    ------
    ClipdbError
        If there is neither, or it can't be opened.
    """
    return Index(path, queries, model, embedder, _artefact(path), files)


def without_models(_opened: Index) -> Embedder:
    """Refuse what only a model could answer.

    Raises
    ------
    ClipdbError
        Always.
    """
    raise ClipdbError(
        "this takes a model, for an image or a text that is not in the index or for a text's own heads, and the index "
        "was opened without its models",
        kind="absent",
    )


def _artefact(path: str | Path) -> Artefact | None:
    """Open an artefact; None if the path is something else."""
    if not is_url(path) and not catalog.is_artefact(Path(path)):
        return None
    from clipdb.artefact.reading.in_place import Artefact

    return Artefact(path)
