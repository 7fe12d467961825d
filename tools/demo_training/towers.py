"""The forward passes for training: the open_clip model's own parameters, arranged for one CPU core.

The image tower works on patches instead of pictures, computes in its last layer only what the class token needs, and
gives what every head wrote. The text tower stops at the longest text; attention is causal, so nothing before the end
of text sees the rest.
"""

from __future__ import annotations

import math
from typing import Any

import open_clip
import torch
from torch import Tensor
from torch.nn import functional

MEAN = open_clip.OPENAI_DATASET_MEAN
STD = open_clip.OPENAI_DATASET_STD


def normalise(patches: Tensor) -> Tensor:
    """Scale uint8 patches [B, 64, 192] like open_clip's preprocessing scales pictures."""
    pixels = patches.shape[-1] // 3
    mean = torch.tensor(MEAN).repeat_interleave(pixels) * 255
    std = torch.tensor(STD).repeat_interleave(pixels) * 255
    return (patches.float() - mean) / std


def image_features(visual: Any, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run the image tower.

    Returns
    -------
    embedding
        [B, D], not normalised.
    pooled
        [B, width]: the class token after the last LayerNorm, before the projection.
    heads
        [B, layers, heads, D]: each head's direct contribution to `embedding` (equal to Gandelsman et al., arXiv
        2310.05916, section 3.2, with the LayerNorm's centring and scale folded in).
    """
    tokens = functional.linear(normalise(patches), visual.conv1.weight.flatten(1))
    first = visual.class_embedding.expand(len(tokens), 1, -1)
    x = torch.cat([first.to(tokens.dtype), tokens], dim=1) + visual.positional_embedding
    x = visual.ln_pre(x).to(tokens.dtype)
    blocks = visual.transformer.resblocks
    written = []
    for number, block in enumerate(blocks):
        x, z = _image_block(x, block, last=number == len(blocks) - 1)
        written.append(z)
    token = x[:, 0].float()
    pooled = visual.ln_post(token)
    sigma = torch.sqrt(token.var(dim=-1, correction=0) + visual.ln_post.eps)
    out = torch.stack([block.attn.out_proj.weight for block in blocks])
    per_head = out.unflatten(-1, (-1, written[0].shape[-1]))
    reading = visual.ln_post.weight[:, None] * visual.proj
    reading = reading - reading.mean(dim=0)
    basis = torch.einsum("lwhk,wd->lhkd", per_head, reading)
    heads = torch.einsum("blhk,lhkd->blhd", torch.stack(written, dim=1).float(), basis)
    return pooled @ visual.proj, pooled, heads / sigma[:, None, None, None]


def _image_block(x: Tensor, block: Any, *, last: bool) -> tuple[Tensor, Tensor]:
    attention = block.attn
    normed = block.ln_1(x)
    q, k, v = functional.linear(normed, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    if last:
        q, x = q[:, :1], x[:, :1]
    mixed = _attend(q, k, v, attention.num_heads)
    x = x + functional.linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
    x = x + block.mlp(block.ln_2(x))
    return x, mixed[:, 0].unflatten(-1, (attention.num_heads, -1))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(dim=-1).to(v.dtype) @ v).transpose(1, 2).flatten(2)


def text_features(model: Any, embedding: Tensor, tokens: Tensor) -> Tensor:
    """Run the text tower on compact token numbers [B, length] with their embedding [V, width]: [B, D]."""
    length = tokens.shape[1]
    x = functional.embedding(tokens, embedding) + model.positional_embedding[:length]
    x = x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x
    mask = torch.full((length, length), -math.inf, dtype=x.dtype).triu(1)
    for block in model.transformer.resblocks:
        attention = block.attn
        q, k, v = functional.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
        mixed = _attend(q, k, v, attention.num_heads, mask)
        x = x + functional.linear(mixed, attention.out_proj.weight, attention.out_proj.bias)
        x = x + block.mlp(block.ln_2(x))
    ends = x[torch.arange(len(x)), tokens.argmax(dim=-1)]
    return model.ln_final(ends.float()) @ model.text_projection
