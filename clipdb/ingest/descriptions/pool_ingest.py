"""Put pools of descriptions into an index: a person's file, or one that ships with clipdb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clipdb import pools
from clipdb._util.stages import Stages, untold
from clipdb.errors import ClipdbError, stopped
from clipdb.ingest.descriptions.texts import embed_missing, pool_members, store_pool
from clipdb.ingest.store.known_models import reload
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.writer import Writer
from clipdb.models.model import Model


@dataclass(frozen=True)
class PoolCounts:
    """What came of a pool's file.

    Attributes
    ----------
    texts
        Descriptions in the pool.
    duplicates, empty
        Rows of the file that were left out.
    added, skipped
        Embeddings computed, and found in the index, over all models.
    unavailable
        Why a model's texts could not be embedded now, by model.
    """

    texts: int
    duplicates: int
    empty: int
    added: int
    skipped: int
    unavailable: dict[str, str]


def ingest_texts(
    index: Path,
    pool: str,
    file: Path | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    progress: Stages = untold,
) -> PoolCounts:
    """Store a pool and embed it for every model of the index.

    A model whose weights can't be had now is left out and named; `clipdb span` embeds what is missing.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    pool
        Name of the pool; one of that name is replaced.
    file
        ``.txt`` (one description per line), ``.csv`` or ``.parquet`` (``text`` and perhaps ``property``). Default: the
        pool of that name that ships with clipdb.
    checkpoint, device
        Where the text tower's weights are and where it runs.
    progress
        Is told of texts that are embedded.

    Raises
    ------
    ClipdbError
        If the pool has no name, the file can't be read or nothing ships under that name.
    Stopped
        On Ctrl-C, which keeps the texts that were embedded.
    """
    if not pool.strip():
        raise ClipdbError("the pool has no name: give it one with --pool NAME")
    reading = pools.Reading(pools.load(pool), 0, 0) if file is None else pools.read_counted(file)
    source = "" if file is None else str(file)
    writer = Writer(index, "ingest texts", {"file": source, "pool": pool}, create=True)
    with stopped(lambda: f"{writer.added} texts are embedded" if writer.added else ""), writer:
        store_pool(writer, _about(pool, source), reading.texts)
        unavailable = _embed(writer, pool, lambda model_id: reload(writer, model_id, checkpoint, device), progress)
        return PoolCounts(
            len(reading.texts), reading.duplicates, reading.empty, writer.added, writer.skipped, unavailable
        )


def ensure_pool(writer: Writer, pool: str) -> None:
    """Store a pool that ships with clipdb, unless the index has one of that name."""
    stored = writer.read("select 1 from pools where pool = ?", pool)
    if not stored and pool in pools.shipped():
        store_pool(writer, _about(pool, ""), pools.load(pool))


def _embed(writer: Writer, pool: str, load: Callable[[str], Model], progress: Stages) -> dict[str, str]:
    members = pool_members(writer, pool)
    unavailable = {}
    has_images = writer.read("select 1 from batches where kind = 'images' limit 1")
    for model_id in writer.models() if has_images else []:
        try:
            embed_missing(ModelTables(writer, model_id), members, load, progress)
        except ClipdbError as error:
            unavailable[model_id] = str(error)
    return unavailable


def _about(pool: str, source: str) -> dict[str, str | None]:
    shipped = pools.shipped().get(pool)
    if source or shipped is None:
        return {"pool": pool, "name": pool, "source": source, "licence": None}
    return {"pool": pool, "name": shipped.title, "source": shipped.source, "licence": shipped.licence}
