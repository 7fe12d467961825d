"""Image towers of Hugging Face transformers: CLIP, MetaCLIP 2, SigLIP, SigLIP 2, AltCLIP, ChineseCLIP, BLIP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from clipdb.models.hugging_face.network import ImageSide
from clipdb.models.tower import unread
from clipdb.models.tracing.families import multihead_pool
from clipdb.models.tracing.operations import Heads, Linear, Norm, Operation, Own, Stem, Take
from clipdb.models.tracing.traced_tower import Geometry, TracedTower


class TransformersModel(TracedTower):
    """Describe the image towers that `clipdb.models.hugging_face` loads."""

    name = "transformers"

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        if not isinstance(visual, ImageSide) or not hasattr(visual.tower, "post_layernorm"):
            return unread(visual)
        if not getattr(visual.tower, "use_head", True):
            return "it doesn't pool its tokens"
        return None

    def operations(self) -> Iterator[Operation]:
        """Yield what the tower does to its residual stream."""
        side, tower = self.visual, self.visual.tower
        yield Stem(tower.encoder.layers[0])
        for block in tower.encoder.layers:
            attention = block.self_attn
            out = attention.projection if hasattr(attention, "projection") else attention.out_proj
            yield Heads(out, tower.config.num_attention_heads)
            yield Own(block.mlp)
        norm = Norm(tower.post_layernorm)
        if (pool := getattr(tower, "head", None)) is not None:
            yield norm
            yield multihead_pool(pool, pool.attention, pool.probe[0, 0].detach(), nn.Identity(), side.flexible)
            yield Own(pool.mlp)
        else:
            last: tuple[Operation, ...] = (Take(0), norm)
            yield from last if side.pooled_before_norm else reversed(last)
        if side.projection is not None:
            yield Linear(side.projection.weight, side.projection.bias)

    def geometry(self) -> Geometry:
        """Return what the operations don't say."""
        config, projection = self.visual.tower.config, self.visual.projection
        pooling, others = ("attention", ()) if hasattr(self.visual.tower, "head") else ("tok", ("class token",))
        size = config.hidden_size if projection is None else projection.out_features
        return Geometry(int(size), self.visual.image_size, int(config.patch_size), pooling, others)


TOWER = TransformersModel
