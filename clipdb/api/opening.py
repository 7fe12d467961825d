"""`clipdb.open`: where reading an index and running its models meet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError, require
from clipdb.queries.index import Index
from clipdb.queries.place import OnDisk
from clipdb.schema import catalog
from clipdb.schema.names import MANIFEST, is_url
from clipdb.schema.vectors_place import has_vectors_in_store
from clipdb.stores.address import StoreAddress, with_options

if TYPE_CHECKING:
    from clipdb.models.embedder import Embedder
    from clipdb.models.model import Model
    from clipdb.queries.place import Place

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
    storage_options: Mapping[str, str] | None = None,
) -> Index:
    """Open an index, or an export of one where it lies, for reading.

    Parameters
    ----------
    path
        The directory of an index or of an export; where one is in a store: ``s3://``, ``gs://``, ``az://``; or the
        URL of an export: ``https://``, ``hf://``.
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
        Whether models are loaded for images and texts that the index lacks. Say False where strangers ask; their SQL is
        for `clipdb.sandbox.Sandbox`, since DuckDB's own functions still open files here.
    storage_options
        What opens a store, the one of an index's vectors too, where the environment doesn't say it: ``region``,
        ``endpoint``, ``access_key_id`` and so on, as in `clipdb.stores.address.OPTIONS`. Nothing of it is stored or
        printed.

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

    run = embedder if models else without_models
    if storage_options and has_vectors_in_store(path):
        return Index(path, queries, model, run, OnDisk(Path(path), options=storage_options), files)
    place = with_options(path, storage_options)
    return open_with(place, run, queries=queries, model=model, files=files)


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
    place = with_options(path)
    return Index(place, queries, model, embedder, _place(place), files)


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


def _place(path: str | Path) -> Place | None:
    """Open what is at a path, if it isn't an index on a disk: an export, or an index in a store."""
    if isinstance(path, StoreAddress):
        return _in_store(path)
    if not is_url(path) and not catalog.is_artefact(Path(path)):
        return None
    from clipdb.artefact.reading.in_place import Artefact

    return Artefact(path)


def _in_store(address: StoreAddress) -> Place:
    """Open an index in a store, or an export, which DuckDB reads."""
    from clipdb.artefact.reading.in_place import Artefact
    from clipdb.artefact.reading.remote import has_secret
    from clipdb.queries.in_store import InStore
    from clipdb.schema.published import absent, get_newest
    from clipdb.stores.objects import exists

    if has_secret(address):
        return Artefact(str(address))
    if (newest := get_newest(address)) is not None:
        return InStore(address, newest)
    if not exists(address.below(MANIFEST)):
        raise absent(address)
    return Artefact(address)
