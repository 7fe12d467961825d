"""The walk backwards over a tower's operations: for each component, its map into the embedding and its sigmas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from clipdb.models.tracing.operations import (
    AttentionPool,
    Heads,
    Linear,
    Mean,
    Norm,
    Operation,
    Own,
    Pool,
    Scale,
    Stem,
    Take,
    linear_part,
)
from clipdb.schema.names import POOL

Tensor = torch.Tensor
Source = Heads | Own | Stem | AttentionPool


@dataclass(frozen=True, eq=False)
class Part:
    """A component of the embedding.

    Attributes
    ----------
    source
        Where it is read off; None is a constant, 1.
    maps
        From the residual stream, where the part is written, into the embedding: float64 ``[G, D, d]``.
    chain
        What lies between where it is read off and the stream.
    by_token
        The norms that divide it in front of the pooling, token by token.
    once
        The norms that divide it behind the pooling.
    behind
        Whether it is written behind the pooling.
    mlp
        The layer whose MLP it is, `clipdb.schema.names.POOL` behind an attention pooling; None if it is something else.
    """

    source: Source | None
    maps: Tensor
    chain: tuple[Norm | Linear | Scale, ...] = ()
    by_token: tuple[Norm, ...] = ()
    once: tuple[Norm, ...] = ()
    behind: bool = False
    mlp: int | None = None

    def matrices(self) -> Tensor:
        """Return the map from what is read off, float64 ``[G, D, n]``: made when asked for, since they are large."""
        first = next((op for op in self.chain if isinstance(op, Linear)), None)
        size = self.maps.shape[-1] if first is None else first.weight.shape[1]
        eye = torch.eye(size, dtype=torch.float64, device=self.maps.device)
        return self.maps @ linear_part(self.chain, eye).T

    def divided_by(self, norms: Sequence[Norm]) -> Part:
        """Add norms on the side of the pooling where the part is written."""
        if self.behind:
            return replace(self, once=(*self.once, *norms))
        return replace(self, by_token=(*self.by_token, *norms))


@dataclass(eq=False)
class Composition:
    """A tower as a sum.

    Attributes
    ----------
    heads
        A part for each layer of heads, in order.
    rest
        What else the trunk partition adds up.
    pool
        How tokens are pooled.
    pool_heads, pool_rest
        The pooling's own heads, where it has any, and what else their partition adds up.
    """

    pool: Pool
    heads: list[Part] = field(default_factory=list)
    rest: list[Part] = field(default_factory=list)
    pool_heads: Part | None = None
    pool_rest: list[Part] = field(default_factory=list)


def compose(operations: Iterable[Operation], embed_dim: int, device: torch.device) -> Composition:
    """Walk backwards over a tower's operations.

    Parameters
    ----------
    operations
        In the order in which they are applied, with one pooling among them.
    embed_dim
        Size of the embedding, D.
    device
        Where its weights are.
    """
    steps = list(operations)
    layers = sum(isinstance(op, Heads) for op in steps)
    composed = Composition(next(op for op in steps if isinstance(op, Take | Mean | AttentionPool)))
    # The state of the walk is a part as a component would be that is written just here.
    eye = torch.eye(embed_dim, dtype=torch.float64, device=device)
    here = Part(None, eye[None], behind=True)
    for op in reversed(steps):
        if isinstance(op, Norm | Linear | Scale):
            composed.rest += _constants(here, (op,))
            size = op.weight.shape[1] if isinstance(op, Linear) else here.maps.shape[-1]
            matrix = linear_part((op,), torch.eye(size, dtype=torch.float64, device=device)).T
            here = replace(here, maps=here.maps @ matrix).divided_by([op] if isinstance(op, Norm) else [])
        elif isinstance(op, AttentionPool):
            here = _through_pool(here, op, composed)
        elif isinstance(op, Take | Mean):
            here = replace(here, behind=False)
        elif isinstance(op, Heads):
            composed.rest += _constants(here, op.chain)
            composed.heads.append(_written(here, op, op.chain))
        else:
            written = _written(here, op, tuple(op.after) if isinstance(op, Own) else ())
            layer = POOL if here.behind else layers - 1 - len(composed.heads)  # that of the heads in front of it
            is_mlp = isinstance(op, Own) and (here.behind or layer >= 0)
            composed.rest.append(replace(written, mlp=layer) if is_mlp else written)
    composed.heads.reverse()
    return composed


def _written(here: Part, source: Source, chain: tuple[Norm | Linear | Scale, ...]) -> Part:
    """Make a component that reaches the stream through a chain."""
    return replace(here, source=source, chain=chain).divided_by(_norms(chain))


def _norms(chain: Sequence[Norm | Linear | Scale]) -> list[Norm]:
    return [op for op in chain if isinstance(op, Norm)]


def _constants(here: Part, chain: tuple[Norm | Linear | Scale, ...]) -> Iterator[Part]:
    """Yield the biases of a chain, each through what follows it there."""
    for place, op in enumerate(chain):
        bias = None if isinstance(op, Scale) else op.bias
        if bias is not None:
            later = chain[place + 1 :]
            vector = linear_part(later, bias.detach().double())
            yield replace(here, maps=here.maps @ vector[:, None]).divided_by(_norms(later))


def _through_pool(here: Part, pool: AttentionPool, composed: Composition) -> Part:
    """Record the pooling's heads and constants, and return how the stream in front of it is mapped."""
    groups = pool.value.shape[0]
    out = pool.out.detach().double().unflatten(1, (groups, -1))  # d' G k
    by_head = torch.einsum("Dd,dgk->gDk", here.maps[0], out)
    if pool.out_bias is not None:
        composed.rest.append(replace(here, maps=here.maps @ pool.out_bias.detach().double()[:, None]))
    composed.pool_heads = replace(here, source=pool, maps=by_head)
    composed.pool_rest = list(composed.rest)
    if pool.value_bias is not None:  # the weights of a head add up to 1
        constant = torch.einsum("gDk,gk->D", by_head, pool.value_bias.detach().double())
        composed.rest.append(replace(here, maps=constant[None, :, None]))
    return replace(here, maps=by_head @ pool.value.detach().double(), behind=False)
