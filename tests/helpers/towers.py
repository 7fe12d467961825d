"""Small open_clip towers with every parameter off its initial value, and their decomposition written out plainly."""

from __future__ import annotations

import copy
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP

VARIANTS: dict[str, dict[str, Any]] = {
    "gelu": {},
    "quick_gelu": {"quick_gelu": True},
    "layer_scale": {"vision": {"ls_init_value": 0.1}},
    "more_dimensions_than_width": {"embed_dim": 80},
    "fewer_dimensions_than_a_head": {"embed_dim": 12},
    "no_ln_pre": {"vision": {"no_ln_pre": True}},
    "ln_after_pool": {"vision": {"final_ln_after_pool": True}},
}


def small_clip(variant: str = "gelu", seed: int = 0) -> CLIP:
    """A CLIP of 3 layers, 4 heads of 16, image 32 x 32."""
    torch.manual_seed(seed)
    changes = VARIANTS[variant]
    vision = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 3, "head_width": 16, "mlp_ratio": 2.0}
    text = {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}
    model = CLIP(
        changes.get("embed_dim", 48),
        vision_cfg=vision | changes.get("vision", {}),
        text_cfg=text,
        quick_gelu=changes.get("quick_gelu", False),
    ).eval()
    with torch.no_grad():
        for name, parameter in model.visual.named_parameters():
            scale = 1.0 if "positional" in name or "class_embedding" in name else 0.1
            parameter += scale * torch.randn_like(parameter)
    return model


def cut_architecture(arch: str, layers: int = 2) -> CLIP:
    """A real architecture with its real widths, cut to a few layers."""
    config = copy.deepcopy(open_clip.get_model_config(arch))
    config["vision_cfg"]["layers"] = layers
    config["text_cfg"]["layers"] = 1
    torch.manual_seed(0)
    return CLIP(**config).eval()


@torch.no_grad()
def plain_components(model: CLIP, images: torch.Tensor, by_token: bool = False) -> dict[str, torch.Tensor]:
    """Every component of the embedding, float64, with all attention weights written out.

    Returns ``heads [batch, layer, H, D]``, ``mlps [batch, layer, D]``, ``biases``, ``stem``, ``beta``; by token, the
    heads are ``[batch, layer, H, tokens, D]``: what each token gives through its value and its attention weight.
    """
    visual = copy.deepcopy(model.visual).double()
    x = visual._embeds(images.double())
    batch, tokens, width = x.shape
    residual = {"heads": [], "mlps": [], "biases": [], "stem": x[:, 0].clone()}
    for block in visual.transformer.resblocks:
        attention = block.attn
        heads, size = attention.num_heads, attention.head_dim
        normed = block.ln_1(x)
        projected = normed @ attention.in_proj_weight.T + attention.in_proj_bias
        q, k, v = (part.reshape(batch, tokens, heads, size) for part in projected.split(width, dim=-1))
        weights = torch.softmax(torch.einsum("bqhs,bkhs->bhqk", q, k) / size**0.5, dim=-1)
        z = torch.einsum("bhqk,bkhs->bqhs", weights, v)
        w_o = attention.out_proj.weight.reshape(width, heads, size)
        written = torch.einsum("bqhs,whs->bqhw", z, w_o)
        scale = getattr(block.ls_1, "gamma", torch.ones(width, dtype=torch.float64))
        if by_token:
            given = torch.einsum("bhk,bkhs,whs->bhkw", weights[:, :, 0], v, w_o)
            residual["heads"].append(given * scale)
        else:
            residual["heads"].append(written[:, 0] * scale)
        residual["biases"].append((attention.out_proj.bias * scale).expand(batch, width))
        x = x + (written.sum(dim=2) + attention.out_proj.bias) * scale
        mlp = block.ls_2(block.mlp(block.ln_2(x)))
        residual["mlps"].append(mlp[:, 0])
        x = x + mlp
    token = x[:, 0]
    sigma = (token.var(dim=-1, unbiased=False) + visual.ln_post.eps).sqrt()
    components = {}
    for name, vectors in residual.items():
        stacked = torch.stack(vectors, dim=1) if isinstance(vectors, list) else vectors
        centred = (stacked - stacked.mean(dim=-1, keepdim=True)) * visual.ln_post.weight
        shape = (batch,) + (1,) * (stacked.dim() - 1)
        components[name] = centred @ visual.proj / sigma.reshape(shape)
    components["beta"] = (visual.ln_post.bias @ visual.proj).expand(batch, -1)
    return components
