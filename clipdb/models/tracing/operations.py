"""The vocabulary: what a tower does to its residual stream, in the order in which it does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class Norm:
    """A LayerNorm or RMSNorm, of the stream or of what is written into it."""

    module: Any

    @property
    def centred(self) -> bool:
        """Whether the mean is taken off: RMSNorm takes none off."""
        return isinstance(self.module, nn.LayerNorm)

    @property
    def gain(self) -> Tensor | None:
        """gamma ``[d]``."""
        return getattr(self.module, "weight", None)

    @property
    def bias(self) -> Tensor | None:
        """beta ``[d]``."""
        return getattr(self.module, "bias", None)

    def sigma(self, x: Tensor) -> Tensor:
        """Return what vectors ``[..., d]`` are divided by, float32 ``[...]``."""
        x = x.float()
        square = x.var(dim=-1, correction=0) if self.centred else x.square().mean(dim=-1)
        return (square + self.module.eps).sqrt()


@dataclass(frozen=True, eq=False)
class Linear:
    """``x -> W x + b``, with W ``[out, in]``."""

    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Scale:
    """``x -> gamma x``: LayerScale."""

    gamma: Tensor


@dataclass(frozen=True, eq=False)
class Stem:
    """The stream begins as the input of this module, the first block."""

    module: Any


@dataclass(frozen=True, eq=False)
class Heads:
    """A layer of attention heads: ``out``'s input is their outputs side by side, and it is called as a module.

    Attributes
    ----------
    out
        The output projection.
    count
        How many heads there are.
    inner
        A norm between the heads and ``out`` (sub-LN).
    after
        What follows ``out`` before the stream takes it: LayerScale, a norm of what is written (post-norm).
    """

    out: Any
    count: int
    inner: Norm | None = None
    after: Sequence[Scale | Norm] = ()

    @property
    def chain(self) -> tuple[Norm | Linear | Scale, ...]:
        """All that lies between the heads' outputs and the stream."""
        inner = () if self.inner is None else (self.inner,)
        return (*inner, Linear(self.out.weight, self.out.bias), *self.after)


@dataclass(frozen=True, eq=False)
class Own:
    """A module whose output is a component of its own, an MLP as a rule, and what scales it before the stream."""

    module: Any
    after: Sequence[Scale] = ()


@dataclass(frozen=True, eq=False)
class Take:
    """The pooled token is the one at this place."""

    token: int = 0

    def read(self, x: Tensor, dim: int = 1) -> Tensor:
        """Return of all tokens those that are pooled."""
        return x.narrow(dim, self.token, 1)


@dataclass(frozen=True, eq=False)
class Mean:
    """The pooled token is the mean over all tokens but the first few."""

    left_out: int = 0

    def read(self, x: Tensor, dim: int = 1) -> Tensor:
        """Return of all tokens those that are pooled."""
        return x.narrow(dim, self.left_out, x.shape[dim] - self.left_out)


def _as_it_is(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True, eq=False)
class AttentionPool:
    """G heads with one fixed or common query each look at the tokens; one vector is left.

    Attributes
    ----------
    module
        Its input is the tokens, or what ``tokens`` makes them of.
    scores
        The attention's logits ``[B, G, T]`` of tokens ``[B, T, d]``.
    value, value_bias
        Of the heads, ``[G, k, d]`` and ``[G, k]``.
    out, out_bias
        The output projection, ``[d', G k]`` and ``[d']``.
    left_out
        How many of the first tokens of the stream it doesn't look at.
    masked
        Whether the module is called with a mask behind the tokens: ``[B, T]``, 0 at padding that it doesn't look at.
    """

    module: Any
    scores: Callable[[Tensor], Tensor]
    value: Tensor
    value_bias: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    left_out: int = 0
    masked: bool = False
    tokens: Callable[[Tensor], Tensor] = field(default=_as_it_is)

    def read(self, x: Tensor, dim: int = 1) -> Tensor:
        """Return of all tokens those that are pooled."""
        return x.narrow(dim, self.left_out, x.shape[dim] - self.left_out)


Pool = Take | Mean | AttentionPool
Operation = Norm | Linear | Scale | Stem | Heads | Own | Pool


def linear_part(chain: Sequence[Norm | Linear | Scale], x: Tensor) -> Tensor:
    """Apply operations in turn to vectors ``[..., n]`` in float64, without their constants and sigmas."""
    for op in chain:
        if isinstance(op, Linear):
            x = x @ op.weight.detach().double().T
            continue
        if isinstance(op, Norm) and op.centred:
            x = x - x.mean(dim=-1, keepdim=True)
        gain = op.gamma if isinstance(op, Scale) else op.gain
        x = x if gain is None else x * gain.detach().double()
    return x
