"""Head space: as few numbers a head as hold all of its contribution to the embedding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.schema.basis_matrix import identity
from clipdb.schema.names import head_name

# Directions weaker than this, against the head's strongest, are rounding of the weights: they hold no signal.
NULL_DIRECTION = 1e-6


def layer_bases(output_map: np.ndarray, width: int, head_dim: int) -> list[np.ndarray]:
    """Find a basis of what each head of a layer can write.

    Parameters
    ----------
    output_map
        The maps of the layer's heads, float64 ``[H, D, n]``.
    width
        Width d of the residual stream, which bounds the rank.
    head_dim
        Size k of a head.

    Returns
    -------
    list of numpy.ndarray
        Q of each head, float64 ``[D, r]``. Where ``n = k``, r is k. Where n is more, in front of an attention pooling,
        r is the largest rank among the heads; a head that can reach all of the joint space has the identity, since no
        basis could be smaller.
    """
    heads, dim, size = output_map.shape
    if size > head_dim and min(size, width) >= dim:
        return [identity(dim)] * heads
    bases = head_basis(output_map)
    if size > head_dim:
        alive = np.flatnonzero(bases.any(axis=(0, 1)))
        bases = bases[..., : alive[-1] + 1 if len(alive) else 1]
    return list(bases)


def component_basis(fixed: np.ndarray) -> np.ndarray:
    """Find a basis of what the columns of ``[D, n]`` span, float64 ``[D, r]``: the identity if n is D or more."""
    return layer_bases(fixed[None], fixed.shape[1], 0)[0]


def head_basis(output_map: np.ndarray) -> np.ndarray:
    """Find an orthonormal basis of what a head can write: Q of ``B = Q R``.

    By SVD, so that directions into which the head can't write are zero columns; a plain QR would put arbitrary
    directions there. The sign of a column is fixed by its largest entry.

    Parameters
    ----------
    output_map
        B, float64 ``[..., D, k]``.

    Returns
    -------
    numpy.ndarray
        Q, float64 ``[..., D, k]``.
    """
    with one_thread():
        factors = torch.linalg.svd(torch.from_numpy(output_map), full_matrices=False)
    q, strength = factors.U.numpy(), factors.S.numpy()
    peak = np.take_along_axis(q, np.abs(q).argmax(axis=-2, keepdims=True), axis=-2)
    alive = strength > NULL_DIRECTION * strength[..., :1]
    q = q * np.where(alive, np.sign(peak[..., 0, :]), 0.0)[..., None, :]
    short = output_map.shape[-1] - q.shape[-1]  # D < k: the last k - D directions can't exist
    return np.concatenate([q, np.zeros((*q.shape[:-1], short))], axis=-1) if short else q


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on busy cores, threads took up to a hundred times as long for matrices this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def require_finite(maps: np.ndarray, layer: int) -> None:
    """Refuse weights that overflow, whose SVD would not end well."""
    finite = np.isfinite(maps).all(axis=(1, 2))
    if not finite.all():
        head = head_name(layer, int(np.argmin(finite)))
        raise ClipdbError(f"the weights overflow in head {head}: check the checkpoint, or save it in float32")
