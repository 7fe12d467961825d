"""Describe heads: run TEXTSPAN for every head of a model over a pool, and store what it picks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clipdb._util.stages import Stages, untold
from clipdb._util.textspan import textspan
from clipdb.errors import ClipdbError, stopped
from clipdb.ingest.descriptions.head_pairs import refresh_pairs
from clipdb.ingest.descriptions.pool_ingest import ensure_pool
from clipdb.ingest.descriptions.texts import embed_missing, pool_members, reached_by_texts, text_embeddings
from clipdb.ingest.store.known_models import reload
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import Halves, TakeHalves, head_halves
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.models.model import Model
from clipdb.schema.basis_matrix import in_head_space
from clipdb.schema.names import Head

FIRST = 5
"""Spans of each head whose stability is found: a few are what people read, and two more runs cost as many picks."""

_SAID = ("layer", "head", "rank", "text_id", "variance_explained", "cumulative_variance", "stability")
_STORED = f"select {', '.join(_SAID)} from spans where model_id = ? and pool = ?"


class Spannable(NamedTuple):
    """What TEXTSPAN takes of a head.

    Attributes
    ----------
    covariance
        Of its contributions over the images, in the basis: ``[k, k]``.
    basis
        The space that the pool is projected onto, ``[D, k]``.
    variance
        Trace of the covariance of its contributions, of which spans explain shares: more than the covariance's own
        where they have a part outside the basis.
    halves
        Covariances over two halves of the images; empty where spans aren't compared.
    """

    covariance: np.ndarray
    basis: np.ndarray
    variance: float
    halves: Sequence[np.ndarray] = ()

    @classmethod
    def of(cls, halves: Halves, basis: np.ndarray) -> Spannable:
        """Take it from moments of stored vectors."""
        whole = halves.whole
        return cls(whole.covariance, basis, whole.total_variance, [half.covariance for half in halves])


def span(
    index: Path,
    pool: str,
    model_id: str | None = None,
    count: int = 20,
    checkpoint: Path | None = None,
    device: str = "auto",
    progress: Stages = untold,
    released: Callable[[str], Mapping[Head, Spannable]] | None = None,
    taking: Callable[[Path], AbstractContextManager[TakeHalves]] = lambda index: nullcontext(head_halves),
) -> dict[str, int]:
    """Span the heads of one model, or of all models of an index, over all their images, and compare them in pairs.

    Spans of the same model and pool are replaced in one transaction, unless they are the same. Texts that the model has
    not embedded yet are embedded first; a pool that ships with clipdb is stored first.

    Parameters
    ----------
    index
        Directory of the index.
    pool
        Name of the pool.
    model_id
        Only this model.
    count
        Spans per head.
    checkpoint, device
        Where the text tower's weights are and where it runs, if it is needed.
    progress
        Is told of texts that are embedded and heads that are spanned.
    released
        Finds a model's heads as the code released with arXiv 2310.05916 has them; if None the stored vectors are used.
    taking
        Gives what takes the moments of vectors: in this process, or on a cluster.

    Returns
    -------
    dict
        How many heads each model has spans for.

    Raises
    ------
    ClipdbError
        If there is no index, no image, no such pool or model, the weights for missing texts can't be had, no text
        reaches the model that was asked for, or a model's spans from this pool were imported.
    Stopped
        On Ctrl-C, which keeps the texts that were embedded and the models that were spanned.
    """
    convention = {} if released is None else {"convention": "released"}
    writer = Writer(index, "span", {"pool": pool, "model": model_id, "count": count} | convention)
    with stopped(lambda: f"{writer.added} texts are embedded" if writer.added else ""), writer:
        chosen = writer.models(model_id)
        spannable = reached_by_texts(writer, chosen, model_id)
        _keep_imported(writer, pool, spannable)
        ensure_pool(writer, pool)
        members = pool_members(writer, pool)
        with taking(writer.index) as take:
            spanned = {
                name: _span_model(
                    ModelTables(writer, name),
                    pool,
                    members,
                    count,
                    lambda name: reload(writer, name, checkpoint, device),
                    progress,
                    released,
                    take,
                )
                for name in spannable
            }
        refresh_pairs(writer, chosen, progress)
        return spanned


def _keep_imported(writer: Writer, pool: str, models: Sequence[str]) -> None:
    """Refuse to put other spans in place of those that somebody published: a mistake here could not be undone."""
    imported = writer.read(
        "select model_id from spans join runs using (run) where pool = ? and command = 'import spans' "
        "and model_id in (select unnest(?::text[])) limit 1",
        pool,
        models,
    )
    if imported:
        raise ClipdbError(
            f"the spans of {imported[0][0]} from the pool {pool!r} were imported and would be lost: span with another "
            f"pool; `clipdb ingest texts FILE --pool NAME` makes one"
        )


def _span_model(
    tables: ModelTables,
    pool: str,
    members: Sequence[tuple[str, str]],
    count: int,
    load: Callable[[str], Model],
    progress: Stages,
    released: Callable[[str], Mapping[Head, Spannable]] | None,
    take: TakeHalves,
) -> int:
    writer, model_id = tables.writer, tables.model_id
    embed_missing(tables, members, load, progress)
    embeddings = text_embeddings(tables.texts, [key for key, _ in members])
    moments, bases = tables.refresh_statistics(take), tables.bases()
    if released is None:
        heads: Mapping[Head, Spannable] = {head: Spannable.of(both, bases[head]) for head, both in moments.items()}
    else:
        heads = released(model_id)
    rows: list[dict[str, Any]] = []
    for done, ((layer, head), one) in enumerate(heads.items()):
        progress("heads", done, len(heads))
        texts = in_head_space(embeddings, one.basis)
        picks = textspan(one.covariance, texts, count)
        again = [set(textspan(half, texts, min(count, FIRST)).rows.tolist()) for half in one.halves]
        shares = picks.variance_explained * (np.trace(one.covariance) / one.variance if one.variance else 0.0)
        for rank, (row, explained, so_far) in enumerate(zip(picks.rows, shares, np.cumsum(shares), strict=True), 1):
            rows.append(
                {
                    "model_id": model_id,
                    "layer": layer,
                    "head": head,
                    "pool": pool,
                    "rank": rank,
                    "text_id": members[row][0],
                    "text": members[row][1],
                    "variance_explained": float(explained),
                    "cumulative_variance": float(so_far),
                    "stability": float(np.mean([row in some for some in again])) if again and rank <= FIRST else None,
                    "run": writer.run,
                }
            )
    if sorted(writer.read(_STORED, model_id, pool)) == sorted(tuple(row[name] for name in _SAID) for row in rows):
        return len(heads)  # what stands on the spans is not older than they are
    with writer.transaction() as connection:
        connection.execute("delete from spans where model_id = ? and pool = ?", [model_id, pool])
        put(connection, "spans", rows)
    return len(heads)
