"""CLIP's ResNet: the heads of its attention pooling, which look at the last convolution's output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from clipdb.models.tower import unread
from clipdb.models.tracing.operations import AttentionPool, Operation
from clipdb.models.tracing.traced_tower import Geometry, TracedTower


class ModifiedResNet(TracedTower):
    """Describe ``open_clip.modified_resnet.ModifiedResNet``, whose only heads are those of its pooling."""

    name = "modified_resnet"

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        from open_clip.modified_resnet import ModifiedResNet as Tower

        return None if type(visual) is Tower else unread(visual)

    def operations(self) -> Iterator[Operation]:
        """Yield what the tower does to its residual stream: nothing until the pooling."""
        pool = self.visual.attnpool
        shape = (pool.num_heads, -1, pool.v_proj.in_features)
        to_query, to_key, to_value = (
            one.weight.detach().view(shape) for one in (pool.q_proj, pool.k_proj, pool.v_proj)
        )
        query_bias, value_bias = (one.bias.detach().view(shape[:2]) for one in (pool.q_proj, pool.v_proj))

        def tokens(features: torch.Tensor) -> torch.Tensor:
            x = features.flatten(2).transpose(1, 2)
            return torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + pool.positional_embedding.to(x.dtype)

        def scores(x: torch.Tensor) -> torch.Tensor:
            """Only the query of the mean is read."""
            query = torch.einsum("bd,gkd->bgk", x[:, 0], to_query) + query_bias
            seek = torch.einsum("bgk,gkd->bgd", query.float(), to_key.float())
            return seek @ x.float().transpose(1, 2) * query.shape[-1] ** -0.5

        out = pool.c_proj
        yield AttentionPool(pool, scores, to_value, value_bias, out.weight, out.bias, tokens=tokens)

    def geometry(self) -> Geometry:
        """Return what the operations don't say."""
        visual = self.visual
        tokens, size = len(visual.attnpool.positional_embedding) - 1, int(visual.image_size)
        return Geometry(visual.output_dim, size, size // int(tokens**0.5), "attention", ("mean of the patches",))


TOWER = ModifiedResNet
