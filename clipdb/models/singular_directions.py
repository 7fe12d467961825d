"""The directions in which a head can write most, from weights alone: singular vectors of its map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.models.head_space import NULL_DIRECTION, one_thread, require_finite
from clipdb.models.tower import Adapter
from clipdb.schema.names import Head

_NORMS = ("ln_1", "norm1", "layer_norm1")  # in front of a block's attention: open_clip, timm, transformers


def singular_directions(
    adapter: Adapter, layers: Sequence[int], count: int
) -> Iterator[tuple[Head, np.ndarray, np.ndarray]]:
    """Decompose the maps of the trunk's heads from what they read to the joint space.

    A head that looks at one token alone takes the token's normalised stream x to ``B W_V x / sigma``, with B from
    `clipdb.models.tower.Adapter.output_map`. The LayerNorm in front of the attention is part of the map as far as it
    is linear: ``W_V diag(gamma) (I - 11^T/d)``. The left singular vectors of ``B W_V`` are unit vectors in the joint
    space, and their shares are the squared singular values over the sum of all: how the head's output would vary if
    every direction of its input varied alike (arXiv 2603.24653 decomposes W_V W_O in this way; that B, which goes on to
    the joint space, takes the place of W_O is clipdb's own).

    Parameters
    ----------
    adapter
        The image tower.
    layers
        Layers of the trunk.
    count
        How many directions of each head.

    Yields
    ------
    tuple
        ``(layer, head)``, directions ``[n, D]`` float64, of which the largest entry is positive, and shares ``[n]``;
        n is count, or less where the head has a lower rank.

    Raises
    ------
    ClipdbError
        If the tower's values can't be read, or weights aren't finite.
    """
    for layer in layers:
        maps = adapter.output_map(layer)
        require_finite(maps, layer)
        heads, dim, _ = maps.shape
        value = _values(adapter, layer)
        with one_thread():
            # W_V = L Q with orthonormal rows in Q, so B W_V has the left singular vectors and values of B L.
            lower = torch.linalg.qr(value.mT, mode="r").R.mT
            by_pool = torch.from_numpy(maps).view(heads, dim, -1, value.shape[1])  # a map for each head of the pooling
            factors = torch.linalg.svd(torch.einsum("hdgk,hkj->hdgj", by_pool, lower).flatten(2), full_matrices=False)
        squares = factors.S.square().numpy()
        for head, vectors in enumerate(factors.U.mT.numpy()):
            some = min(count, int((squares[head] > NULL_DIRECTION**2 * squares[head, 0]).sum()))
            vectors = vectors[:some]
            shares = squares[head, :some] / max(squares[head].sum(), np.finfo(float).tiny)
            peaks = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
            yield (layer, head), vectors * np.sign(peaks), shares


def _values(adapter: Any, layer: int) -> torch.Tensor:
    """Return ``W_V diag(gamma) (I - 11^T/d)`` of every head, float64 ``[H, k, d]``."""
    block, attention, normalised = _block(adapter, layer)
    if getattr(attention, "gate", None) is not None:
        raise ClipdbError("its attention has a gate, so that its heads are no linear map of what they read")
    if getattr(attention, "v_proj", None) is not None:
        weight = attention.v_proj.weight
    else:
        fused = getattr(attention, "in_proj_weight", None)
        weight = (attention.qkv.weight if fused is None else fused).chunk(3)[2]
    value = weight.detach().double()
    norm = next((getattr(block, name) for name in _NORMS if hasattr(block, name)), None)
    if normalised and norm is not None:
        value = value if getattr(norm, "weight", None) is None else value * norm.weight.detach().double()
        value = value - value.mean(dim=1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else value
    return value.unflatten(0, (adapter.heads, -1)).cpu()


def _block(adapter: Any, layer: int) -> tuple[Any, Any, bool]:
    """Return a layer's block, its attention, and whether the block normalises what its attention reads."""
    from clipdb.models.towers.open_clip_class_token import OpenClipClassToken
    from clipdb.models.tracing.operations import Heads, Norm
    from clipdb.models.tracing.traced_tower import TracedTower

    if isinstance(adapter, OpenClipClassToken):
        block = adapter.blocks[layer]
        return block, block.attn, True
    if not isinstance(adapter, TracedTower):
        raise ClipdbError(f"the values of towers of the family {adapter.name} can't be read")
    step = [one for one in adapter.operations() if isinstance(one, Heads)][layer]
    path = next(name for name, module in adapter.visual.named_modules() if module is step.out)
    attention = path.rpartition(".")[0]
    post_norm = any(isinstance(one, Norm) for one in step.after)
    return (
        adapter.visual.get_submodule(attention.rpartition(".")[0]),
        adapter.visual.get_submodule(attention),
        not post_norm,
    )
