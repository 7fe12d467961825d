"""Heads' contributions as the code released with arXiv 2310.05916 divides the embedding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.models.tower import Adapter
from clipdb.models.towers.open_clip_class_token import OpenClipClassToken


class ReleasedHeads:
    """Contributions that share all constants out, as the released ``prs_hook.py`` does.

    clipdb's head writes ``P^T diag(gamma) (I - 11^T/d) W_O z / sigma``, and what no head wrote is a component of its
    own. The released code gives each of a layer's H heads the same share of what belongs to none: of the bias b of
    W_O, and, over all n = 2L + 1 components (L attentions, L MLPs and the stem), of the final LayerNorm's mean mu and
    bias beta:

    ``P^T (gamma (W_O z + b/H - mu/(n H)) / sigma + beta/(n H)) / ||embedding||``

    That is linear in ``f = [z/sigma, 1/sigma, mu/sigma, 1] / ||embedding||``, which is k + 3 numbers of an image.

    Parameters
    ----------
    adapter
        The image tower.

    Raises
    ------
    ClipdbError
        If it is none that the released code reads: open_clip's vision transformer with a class token.
    """

    def __init__(self, adapter: Adapter) -> None:
        scaled = isinstance(adapter, OpenClipClassToken) and hasattr(adapter.blocks[0].ls_1, "gamma")
        if not isinstance(adapter, OpenClipClassToken) or scaled:
            raise ClipdbError(
                "the released code reads open_clip's vision transformers with a class token and no LayerScale, and "
                f"this is a tower of {adapter.name}: span it without --convention released"
            )
        self.adapter = adapter

    @torch.inference_mode()
    def features(self, images: torch.Tensor, layers: Sequence[int]) -> dict[int, torch.Tensor]:
        """Run the model over images ``[batch, 3, S, S]`` and return f of each head, float64 ``[batch, H, k + 3]``."""
        tokens: list[torch.Tensor] = []
        hook = self.adapter.visual.ln_post.register_forward_pre_hook(lambda _, given: tokens.append(given[0]))
        try:
            captured = self.adapter.capture(images, layers)
        finally:
            hook.remove()
        sigma, mean = self.adapter.sigma(tokens[0]).double(), tokens[0].double().mean(dim=-1)
        shared = torch.stack([1 / sigma, mean / sigma, torch.ones_like(sigma)], dim=-1)
        norm = captured.embedding.double().norm(dim=-1)[:, None, None]
        return {
            layer: torch.cat([z.double(), shared[:, None].expand(-1, z.shape[1], -1)], dim=-1) / norm
            for layer, z in captured.heads.items()
        }

    @torch.inference_mode()
    def maps(self, layer: int) -> np.ndarray:
        """Return what takes f to the contribution of each head of a layer, float64 ``[H, D, k + 3]``."""
        adapter = self.adapter
        heads, parts = adapter.heads, (2 * adapter.layers + 1) * adapter.heads
        out, norm = adapter.blocks[layer].attn.out_proj, adapter.visual.ln_post
        weight = out.weight.double().T.unflatten(0, (heads, adapter.head_dim))  # [H, k, d]
        shares = torch.stack([out.bias.double() / heads, torch.full_like(out.bias, -1 / parts, dtype=torch.float64)])
        divided = torch.cat([weight, shares.expand(heads, -1, -1)], dim=1) * norm.weight.double()
        beta = (norm.bias.double() / parts).expand(heads, 1, -1)
        joint = torch.cat([divided, beta], dim=1)
        projection = adapter.visual.proj
        if projection is not None:
            joint = joint @ projection.double()
        return joint.transpose(1, 2).cpu().numpy()
