"""The directions along which a head's vectors vary most over the images, and how stable they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.moments import head_halves
from clipdb.schema.names import Head, head_column


def principal_directions(
    tables: ModelTables, heads: Sequence[Head], count: int
) -> Iterator[tuple[Head, np.ndarray, np.ndarray, np.ndarray]]:
    """Take the eigenvectors of the covariance of heads' vectors.

    Parameters
    ----------
    tables
        The model in the index.
    heads
        The heads.
    count
        How many directions of each.

    Yields
    ------
    tuple
        ``(layer, head)``, directions ``[n, D]`` float64 in the joint space, of which the largest entry is positive;
        their shares of the variance ``[n]``; and their stability ``[n]``: over two halves of the images, every other
        one in each, the root mean square of the cosines between the spans of the first i directions.

    Raises
    ------
    ClipdbError
        If there are fewer than four images.
    """
    dataset, bases = tables.images.dataset, tables.bases()
    assert dataset is not None
    names = {head: head_column(*head) for head in heads}
    halves = head_halves(dataset, list(names.values()))
    for head, name in names.items():
        whole = halves[name].whole
        if whole.count < 4:
            raise ClipdbError(f"principal directions take 4 images, and {tables.model_id} has {whole.count}")
        variances, vectors = _principal(whole.covariance, count)
        parts = [_principal(half.covariance, count)[1] for half in halves[name]]
        cosines = np.square(parts[0].T @ parts[1])
        places = np.arange(1, len(variances) + 1)
        stability = np.sqrt(np.array([cosines[:at, :at].sum() / at for at in places]))
        directions = (bases[head] @ vectors).T
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        peaks = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
        yield head, directions * np.sign(peaks), variances / np.trace(whole.covariance), stability


def _principal(covariance: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues, descending, and their eigenvectors as columns."""
    values, vectors = np.linalg.eigh(covariance)
    return values[::-1][:count], vectors[:, ::-1][:, :count]
