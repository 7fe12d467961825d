"""What the families of towers have in common: norms that may be missing, attention with a fixed query."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from clipdb.models.tracing.operations import AttentionPool, Norm, Scale


def norms(*modules: Any) -> list[Norm]:
    """Make operations of those modules that are norms; a norm that a tower does without is an Identity or None."""
    return [Norm(module) for module in modules if not _nothing(module)]


def norm_or_none(module: Any) -> Norm | None:
    """Make an operation of a norm that may be missing."""
    return next(iter(norms(module)), None)


def scales(gamma: torch.Tensor | None) -> list[Scale]:
    """Make an operation of LayerScale's weights, if there are any."""
    return [] if gamma is None else [Scale(gamma)]


def is_norm(module: Any) -> bool:
    """Return whether a module is a norm that the algebra holds for, or none at all."""
    return (
        _nothing(module) or isinstance(module, nn.LayerNorm) or "RmsNorm" in {c.__name__ for c in type(module).__mro__}
    )


def fixed_query(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Fold queries ``[G, k]`` into the weights of the keys ``[G, k, d]``: what tokens are multiplied by, ``[G, d]``.

    The key's bias adds the same to the logits of all tokens, and softmax drops it.
    """
    return torch.einsum("gk,gkd->gd", query.float(), key.float()) * query.shape[-1] ** -0.5


def multihead_pool(
    pool: Any, attention: nn.MultiheadAttention, query: torch.Tensor, norm: Any, masked: bool = False
) -> AttentionPool:
    """Describe torch's attention as a pooling.

    Parameters
    ----------
    pool
        The module whose input is the stream.
    attention
        Looks at the tokens.
    query
        The query that is read ``[d']``, before its projection.
    norm
        What the tokens go through first.
    masked
        Whether padding among the tokens is masked.
    """
    heads, size = attention.num_heads, attention.head_dim
    if attention.in_proj_weight is not None:
        to_query, to_key, to_value = attention.in_proj_weight.detach().chunk(3)
    else:
        ways = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
        to_query, to_key, to_value = (weight.detach() for weight in ways)
    query_bias, _, value_bias = attention.in_proj_bias.detach().chunk(3)
    asked = (query @ to_query.T + query_bias).view(heads, size)
    seek = fixed_query(asked, to_key.view(heads, size, -1))
    return AttentionPool(
        pool,
        scores=lambda x: seek @ x.float().transpose(1, 2),
        value=to_value.view(heads, size, -1),
        value_bias=value_bias.view(heads, size),
        out=attention.out_proj.weight,
        out_bias=attention.out_proj.bias,
        masked=masked,
        tokens=norm,
    )


def _nothing(module: Any) -> bool:
    return module is None or isinstance(module, nn.Identity)
