"""Fewer numbers for heads in front of an attention pooling than hold all that they write, and how much that loses.

Such a head can write into all of the joint space, but on real images it mostly writes along few directions. Its basis
is then cut to those along which it writes most over some images: the first right-singular vectors of its contributions
there, about zero and not about their mean, so that sums of heads stay sums. A cut basis is a basis like any other:
orthonormal, and fixed once it is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from clipdb.models.head_space import NULL_DIRECTION, one_thread
from clipdb.schema.basis_matrix import in_head_space, is_identity
from clipdb.schema.names import Head


@dataclass(frozen=True)
class Loss:
    """What a batch's vectors lack.

    Attributes
    ----------
    written
        By head, the squared norm of what it writes, as a share of the embedding's squared norm, ``[n]``.
    lost
        Of that, what lies outside of the cut basis, ``[n]``.
    apart
        Norm of all that is lost of an image, summed over heads, relative to the embedding's, ``[n]``.
    """

    written: dict[Head, np.ndarray]
    lost: dict[Head, np.ndarray]
    apart: np.ndarray


class RankCut:
    """Cut the vectors of some heads.

    Parameters
    ----------
    exact
        The bases Q that hold all that heads write, ``[D, r]``.
    cut
        The bases of those that are cut, ``[D, s]``, each within the space of the exact one.

    Attributes
    ----------
    bases
        Of all heads, those that are cut among them.
    """

    def __init__(self, exact: Mapping[Head, np.ndarray], cut: Mapping[Head, np.ndarray]) -> None:
        self.bases = {**exact, **cut}
        self._exact = {head: exact[head] for head in cut}
        turns = {head: in_head_space(q.T, exact[head]).T for head, q in cut.items()}
        self._turns = {head: turn.astype(np.float32) for head, turn in turns.items()}  # r s

    def __call__(self, heads: Mapping[int, np.ndarray]) -> tuple[dict[int, np.ndarray], Loss | None]:
        """Cut exact vectors y ``[n, H, r]`` by layer: those to store, and what they lack; None where nothing is cut."""
        if not self._turns:
            return dict(heads), None
        kept, written, lost, apart = {}, {}, {}, None
        for layer, y in heads.items():
            if (layer, 0) not in self._turns:
                kept[layer] = y
                continue
            columns = []
            for head in range(y.shape[1]):
                turn, exact = self._turns[layer, head], self._exact[layer, head]
                columns.append(y[:, head] @ turn)
                rest = y[:, head] - columns[-1] @ turn.T
                written[layer, head] = np.square(y[:, head], dtype=np.float64).sum(axis=1)
                lost[layer, head] = np.square(rest, dtype=np.float64).sum(axis=1)
                rest = rest if is_identity(exact) else rest @ exact.T.astype(np.float32)
                apart = rest if apart is None else apart + rest
            kept[layer] = np.stack(columns, axis=1)
        assert apart is not None
        return kept, Loss(written, lost, np.linalg.norm(apart, axis=1))


def choose_bases(
    exact: Mapping[Head, np.ndarray], vectors: Iterable[tuple[Head, np.ndarray]], size: int
) -> dict[Head, np.ndarray]:
    """Find the directions along which heads write most.

    Parameters
    ----------
    exact
        Their bases Q, ``[D, r]``.
    vectors
        Of each head, y of some images, ``[n, r]``, with n at least ``size``.
    size
        How many directions s are kept.

    Returns
    -------
    dict
        ``[D, s]`` each: Q V with the first right-singular vectors V of y. Directions in which nothing was written are
        zero, and the sign of a column is that of its largest entry.
    """
    found = {}
    for head, y in vectors:
        with one_thread():
            _, strength, v = torch.linalg.svd(torch.from_numpy(y.astype(np.float64)), full_matrices=False)
        first = v[:size].numpy()
        q = first.T if is_identity(exact[head]) else exact[head] @ first.T
        peak = np.take_along_axis(q, np.abs(q).argmax(axis=0, keepdims=True), axis=0)
        alive = (strength > NULL_DIRECTION * strength[0]).numpy()[:size]
        found[head] = q * np.where(alive, np.sign(peak), 0.0)
    return found
