"""How a head's basis is stored: its numbers, or nothing where it is the identity."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def identity(embed_dim: int) -> np.ndarray:
    """Return the basis of a head that can write anywhere, float64 ``[D, D]``: one array for all of them, read-only."""
    eye = np.eye(embed_dim)
    eye.setflags(write=False)
    return eye


def is_identity(basis: np.ndarray) -> bool:
    """Return whether a basis is the identity, which isn't stored: those of SO400M would take 340 MB."""
    eye = identity(len(basis))
    return basis is eye or (basis.shape == eye.shape and np.array_equal(basis, eye))


def stored_basis(stored: Sequence[float] | np.ndarray | None, embed_dim: int) -> np.ndarray:
    """Return the basis Q, float64 ``[D, r]``, that ``heads.basis`` stands for."""
    return identity(embed_dim) if stored is None else np.asarray(stored, np.float64).reshape(embed_dim, -1)


def in_head_space(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return ``Q^T v`` of vectors ``[n, D]``: ``[n, r]``."""
    return vectors if is_identity(basis) else vectors @ basis
