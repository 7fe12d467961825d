"""Small towers of every family, with no parameter at a value that would hide a missing term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.timm_model import TimmModel
from random_towers import unsettle
from timm.layers import RmsNorm
from timm.models.eva import Eva
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos

SIDE = 32


def open_clip_tower(embed_dim: int = 48, **changes: Any) -> Any:
    sizes = {"image_size": SIDE, "patch_size": 8, "width": 64, "layers": 3, "head_width": 16, "mlp_ratio": 2.0}
    return _build_vision_tower(embed_dim, CLIPVisionCfg(**sizes | changes))


def timm_tower(trunk: Any, embed_dim: int | None = 48) -> Any:
    """Put a trunk behind open_clip's wrapper, with its projection or none."""
    tower = TimmModel(
        "test_vit", embed_dim=embed_dim or 64, image_size=SIDE, pool="token", proj="linear" if embed_dim else "none"
    )
    tower.trunk = trunk
    return tower


_SIZES = {
    "img_size": SIDE,
    "patch_size": 8,
    "embed_dim": 64,
    "depth": 3,
    "num_heads": 4,
    "mlp_ratio": 2,
    "num_classes": 0,
}


def vit(embed_dim: int | None = 48, **changes: Any) -> Any:
    return timm_tower(VisionTransformer(**_SIZES | changes), embed_dim)


def eva(embed_dim: int | None = 48, **changes: Any) -> Any:
    return timm_tower(Eva(**_SIZES | changes), embed_dim)


def relative(embed_dim: int | None = 48, **changes: Any) -> Any:
    return timm_tower(VisionTransformerRelPos(**_SIZES | changes), embed_dim)


def pooled_by_eight(**changes: Any) -> Any:
    """PE-Core: a pooling with more heads than the layers have, then a Linear."""
    return eva(
        None,
        global_pool="map",
        attn_pool_num_heads=8,
        use_post_transformer_norm=True,
        use_pre_transformer_norm=True,
        num_classes=40,
        use_fc_norm=False,
        **changes,
    )


TOWERS: dict[str, Callable[[], Any]] = {
    "class token, sub-LN, qk-norm, head scales": lambda: open_clip_tower(
        block_type="custom", qk_norm=True, scale_heads=True, scale_attn_inner=True, scale_attn=True, ls_init_value=0.3
    ),
    "CLIPA": lambda: open_clip_tower(pool_type="avg", final_ln_after_pool=True, no_ln_pre=True),
    "average of normalised tokens": lambda: open_clip_tower(pool_type="avg", ls_init_value=0.3),
    "CoCa": lambda: open_clip_tower(
        attentional_pool=True, attn_pooler_queries=5, attn_pooler_heads=4, output_tokens=True
    ),
    "timm class token": lambda: vit(global_pool="token", init_values=0.3),
    "ViTamin": lambda: vit(global_pool="avg", class_token=False, fc_norm=True),
    "timm average of normalised tokens": lambda: vit(global_pool="avg", fc_norm=False, reg_tokens=2),
    "timm RMSNorm": lambda: vit(global_pool="avg", fc_norm=False, norm_layer=RmsNorm),
    "timm post-norm": lambda: vit(global_pool="token", block_fn=ResPostBlock),
    "relative positions": lambda: relative(global_pool="token", class_token=True, fc_norm=False),
    "SigLIP": lambda: vit(None, global_pool="map", class_token=False),
    "SigLIP with registers left out": lambda: vit(None, global_pool="map", reg_tokens=2, pool_include_prefix=False),
    "EVA01": lambda: eva(global_pool="token", init_values=0.3),
    "EVA02-B": lambda: eva(
        global_pool="token", use_rot_pos_emb=True, swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True,
        qkv_fused=False,
    ),
    "EVA02-E": lambda: eva(global_pool="token", use_post_norm=True),
    "PE-Core": lambda: pooled_by_eight(use_rot_pos_emb=True),
    "PE-Core without class token": lambda: pooled_by_eight(class_token=False, use_abs_pos_emb=True),
    "ModifiedResNet": lambda: open_clip_tower(layers=[1, 1, 1, 1], width=16, head_width=64, image_size=64),
}  # fmt: skip


def small(name: str) -> Any:
    """Make one of `TOWERS`, its parameters off their initial values."""
    torch.manual_seed(0)
    return unsettle(TOWERS[name]())
