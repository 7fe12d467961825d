"""timm's vision transformers under open_clip: SigLIP, SigLIP 2, PE, EVA, ViTamin, MobileCLIP-B and -L."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from clipdb.models.tower import unread
from clipdb.models.tracing.families import fixed_query, is_norm, norm_or_none, norms, scales
from clipdb.models.tracing.operations import AttentionPool, Heads, Linear, Mean, Operation, Own, Stem, Take
from clipdb.models.tracing.traced_tower import Geometry, TracedTower

_POOLINGS = {"token": "tok", "avg": "avg", "map": "attention"}
_TRUNKS = ("VisionTransformer", "VisionTransformerRelPos", "Eva")
_POST_NORM = ("ResPostBlock", "ResPostRelPosBlock", "EvaBlockPostNorm")
_BLOCKS = ("Block", "RelPosBlock", "EvaBlock", *_POST_NORM)
_NO_HEADS = {
    "ConvNeXt": "it is a ConvNeXt, which has no attention heads",
    "FastVit": "it is a FastViT: convolutions and a gate follow its attention, so what its heads write isn't a sum",
    "SwinTransformer": "it is a Swin transformer, which merges tokens between its layers: clipdb doesn't follow that",
}


class TimmTransformer(TracedTower):
    """Describe ``VisionTransformer``, ``VisionTransformerRelPos`` and ``Eva`` of timm as open_clip uses them."""

    name = "timm_transformer"

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        trunk = getattr(visual, "trunk", None)
        kind = type(trunk).__name__
        if trunk is None or not type(trunk).__module__.startswith("timm."):
            return unread(visual)
        if kind not in _TRUNKS:
            return _NO_HEADS.get(kind, unread(visual))
        if other := {type(block).__name__ for block in trunk.blocks}.difference(_BLOCKS):
            return f"its blocks are {', '.join(sorted(other))}, which clipdb doesn't read"
        if trunk.global_pool not in _POOLINGS:
            return f"it pools by {trunk.global_pool or 'nothing'}"
        if any(getattr(b.attn, "gate", None) is not None and is_a_norm(b.attn.norm) for b in trunk.blocks):
            return "its attention has both a gate and a norm"
        if not all(map(is_norm, _all_norms(trunk))):
            return "it has norms other than LayerNorm and RMSNorm"
        if not all(isinstance(one, nn.Linear | nn.Identity | nn.Dropout) for one in (trunk.head, *visual.head)):
            return "its projection is not linear"
        if (pool := getattr(trunk, "attn_pool", None)) is not None and (
            pool.pos_embed is not None or pool.latent_len > 1
        ):
            return "it pools with more than one query, or with positions"
        return None if visual.image_size[0] == visual.image_size[1] else "its images are not square"

    def operations(self) -> Iterator[Operation]:
        """Yield what the tower does to its residual stream."""
        trunk = self.visual.trunk
        yield Stem(trunk.blocks[0])
        for block in trunk.blocks:
            post_norm = type(block).__name__ in _POST_NORM
            gamma = getattr(getattr(block, "ls1", block), "gamma", getattr(block, "gamma_1", None))
            after = scales(gamma) + (norms(block.norm1) if post_norm else [])
            yield Heads(block.attn.proj, block.attn.num_heads, norm_or_none(getattr(block.attn, "norm", None)), after)
            if post_norm:
                yield Own(block.norm2)
            else:
                yield Own(getattr(block, "ls2", block.mlp), scales(getattr(block, "gamma_2", None)))
        yield from norms(trunk.norm)
        yield from self._pooling(trunk)
        yield from norms(trunk.fc_norm)
        for layer in (trunk.head, *self.visual.head):
            if isinstance(layer, nn.Linear):
                yield Linear(layer.weight, layer.bias)

    def _pooling(self, trunk: Any) -> Iterator[Operation]:
        # Eva reads every token in attention pooling, VisionTransformer those that it is told to.
        left_out = 0 if getattr(trunk, "pool_include_prefix", trunk.global_pool == "map") else trunk.num_prefix_tokens
        if trunk.global_pool == "map":
            yield _latent_pool(trunk.attn_pool, left_out)
            if trunk.attn_pool.mlp is not None:
                yield Own(trunk.attn_pool.mlp)
        else:
            yield Take(0) if trunk.global_pool == "token" else Mean(left_out)

    def geometry(self) -> Geometry:
        """Return what the operations don't say."""
        trunk, side = self.visual.trunk, int(self.visual.image_size[0])
        last = [layer for layer in (trunk.head, *self.visual.head) if isinstance(layer, nn.Linear)]
        size = last[-1].out_features if last else trunk.num_features
        patch = side // int(trunk.patch_embed.dynamic_feat_size((side, side))[0])
        return Geometry(int(size), side, patch, _POOLINGS[trunk.global_pool], _prefix(trunk))


def _latent_pool(pool: Any, left_out: int) -> AttentionPool:
    """Describe ``timm.layers.AttentionPoolLatent``."""
    heads, size = pool.num_heads, pool.head_dim
    to_key, to_value = pool.kv.weight.detach().view(2, heads, size, -1)
    key_bias, value_bias = (None, None) if pool.kv.bias is None else pool.kv.bias.detach().view(2, heads, size)
    query = pool.q_norm(pool.q(pool.latent)[0, 0].view(heads, size)).detach()
    seek = fixed_query(query, to_key)

    def scores(x: torch.Tensor) -> torch.Tensor:
        if isinstance(pool.k_norm, nn.Identity):
            return seek @ x.float().transpose(1, 2)
        keys = torch.einsum("btd,gkd->btgk", x, to_key)
        keys = pool.k_norm(keys if key_bias is None else keys + key_bias)
        return torch.einsum("gk,btgk->bgt", query.float() * size**-0.5, keys.float())

    return AttentionPool(pool, scores, to_value, value_bias, pool.proj.weight, pool.proj.bias, left_out)


def _all_norms(trunk: Any) -> Iterator[Any]:
    yield from (trunk.norm, trunk.fc_norm)
    for block in trunk.blocks:
        yield from (block.norm1, block.norm2, getattr(block.attn, "norm", None))


def is_a_norm(module: Any) -> bool:
    """Return whether there is a norm."""
    return norm_or_none(module) is not None


def _prefix(trunk: Any) -> Sequence[str]:
    """Name the tokens in front of the patches."""
    first = ("class token",) if getattr(trunk, "cls_token", None) is not None else ()
    return *first, *(f"register {number}" for number in range(1, trunk.num_prefix_tokens - len(first) + 1))


TOWER = TimmTransformer
