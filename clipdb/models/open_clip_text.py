"""Trace a text through open_clip's text transformer."""

from __future__ import annotations

from functools import partial
from typing import Any

import open_clip
import torch
from open_clip.transformer import TextTransformer
from torch import nn

from clipdb.errors import ClipdbError
from clipdb.models.tracing.open_clip_blocks import are_known, block_operations, exposed_blocks
from clipdb.models.tracing.operations import Linear, Norm, Take
from clipdb.models.tracing.traced_text import TracedText


def traced_text(tower: Any, encode: nn.Module, tokens: torch.Tensor, model_id: str) -> TracedText:
    """Describe what a text tower of open_clip does to one text.

    Parameters
    ----------
    tower
        The text tower, or CLIP itself, which took its tower apart.
    encode
        The tower as a module.
    tokens
        The text, ``[1, T]``.
    model_id
        The model's name, for messages.

    Raises
    ------
    ClipdbError
        If the tower is of a kind whose heads clipdb doesn't read.
    """
    if not isinstance(tower, (open_clip.CLIP, TextTransformer)) or getattr(tower, "cls_emb", None) is not None:
        raise ClipdbError(f"the text tower of {model_id} is none whose heads clipdb reads: leave out --tower text")
    place, blocks = _place(tower, tokens), tower.transformer.resblocks
    if place is None or not are_known(blocks):
        raise ClipdbError(f"the text tower of {model_id} pools in a way that clipdb doesn't read")
    steps = [*block_operations(blocks), Norm(tower.ln_final), Take(place)]
    projection, size = tower.text_projection, blocks[-1].attn.out_proj.out_features
    if isinstance(projection, nn.Linear):
        steps.append(Linear(projection.weight, projection.bias))
        size = projection.out_features
    elif projection is not None:
        steps.append(Linear(projection.T))
        size = projection.shape[1]
    return TracedText(encode, steps, int(size), partial(exposed_blocks, blocks))


def _place(tower: Any, tokens: torch.Tensor) -> int | None:
    """Find the token that is pooled."""
    whole = isinstance(tower, open_clip.CLIP)
    pooling = tower.text_pool_type if whole else tower.pool_type
    if pooling == "eos":
        return int((tokens[0] == (tower.text_eos_id if whole else tower.eos_id)).int().argmax())
    return {"first": 0, "last": tokens.shape[1] - 1, "argmax": int(tokens[0].argmax())}.get(pooling)
