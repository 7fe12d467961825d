"""open_clip's own vision transformer, however it pools: the mean of its patches (CLIPA) or attention (CoCa)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from clipdb.models.tower import unread
from clipdb.models.tracing.families import multihead_pool, norms
from clipdb.models.tracing.open_clip_blocks import are_known, block_operations, exposed_blocks
from clipdb.models.tracing.operations import Linear, Mean, Operation, Take
from clipdb.models.tracing.traced_tower import Geometry, TracedTower


class OpenClipTransformer(TracedTower):
    """Describe ``open_clip.transformer.VisionTransformer``."""

    name = "open_clip_transformer"

    @classmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why this family doesn't fit a tower; None where it does."""
        from open_clip.transformer import VisionTransformer

        if type(visual) is not VisionTransformer:
            return unread(visual)
        if not are_known(visual.transformer.resblocks):
            return "its blocks are not open_clip's own"
        if visual.attn_pool is not None and (visual.attn_pool_contrastive is not None or visual.pool_type != "tok"):
            return "it pools with more than one query"
        if visual.pool_type not in ("tok", "avg"):
            return "it doesn't pool its tokens"
        return None if visual.image_size[0] == visual.image_size[1] else "its images are not square"

    def operations(self) -> Iterator[Operation]:
        """Yield what the tower does to its residual stream."""
        visual = self.visual
        yield from block_operations(visual.transformer.resblocks)
        if (pool := visual.attn_pool) is not None:
            yield from norms(pool.ln_k)
            yield multihead_pool(pool, pool.attn, pool.ln_q(pool.query)[0].detach(), pool.ln_k)
            yield from norms(visual.ln_post)
        else:
            tokens = Take(0) if visual.pool_type == "tok" else Mean(left_out=1)
            yield from (
                [tokens, *norms(visual.ln_post)] if visual.final_ln_after_pool else [*norms(visual.ln_post), tokens]
            )
        if visual.proj is not None:
            yield Linear(visual.proj.T)

    def geometry(self) -> Geometry:
        """Return what the operations don't say."""
        visual = self.visual
        size = visual.ln_post.normalized_shape[0] if visual.proj is None else visual.proj.shape[1]
        pooling = visual.pool_type if visual.attn_pool is None else "attention"
        return Geometry(int(size), int(visual.image_size[0]), int(visual.patch_size[0]), pooling, ("class token",))

    def exposed(self) -> AbstractContextManager[None]:
        """Let blocks call their output projection."""
        return exposed_blocks(self.visual.transformer.resblocks)


TOWER = OpenClipTransformer
