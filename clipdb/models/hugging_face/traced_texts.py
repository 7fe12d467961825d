"""Trace a text through a text tower of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from clipdb.models.hugging_face.network import Network
from clipdb.models.tracing.operations import Heads, Linear, Norm, Operation, Own, Stem, Take
from clipdb.models.tracing.traced_text import TracedText


def traced_text(network: Network, tokens: torch.Tensor) -> TracedText:
    """Describe what a text tower does to one text, ``[1, T]``, all of whose tokens are read."""
    steps = list(_bert(network) if network.kind.masked else _causal(network, tokens))
    last = steps[-1]
    assert isinstance(last, Linear)
    return TracedText(_Encode(network), steps, int(last.weight.shape[0]))


class _Encode(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.network.encode_text(tokens, torch.ones_like(tokens))


def _causal(network: Network, tokens: torch.Tensor) -> Iterator[Operation]:
    """CLIP's and SigLIP's transformer, which normalises in front of attention and MLP."""
    model, tower = network.model, network.model.text_model
    yield Stem(tower.encoder.layers[0])
    for block in tower.encoder.layers:
        yield Heads(block.self_attn.out_proj, tower.config.num_attention_heads)
        yield Own(block.mlp)
    yield Norm(tower.final_layer_norm)
    if network.kind.whole:
        yield Take(tokens.shape[1] - 1)
        yield Linear(tower.head.weight, tower.head.bias)
        return
    end = tower.config.eos_token_id  # 2 in early configurations, whose end mark has the highest number
    at = tokens[0] if end == 2 else (tokens[0] == end).int()
    yield Take(int(at.argmax()))
    yield Linear(model.text_projection.weight, model.text_projection.bias)


def _bert(network: Network) -> Iterator[Operation]:
    """BERT's transformer, which normalises the stream behind each write, with a class token."""
    model = network.model
    tower: Any = getattr(model, "text_encoder", None) or model.text_model
    inner = getattr(tower, "roberta", tower)
    layers = inner.encoder.layers if hasattr(inner.encoder, "layers") else inner.encoder.layer
    yield Stem(layers[0])
    for block in layers:
        attention = block.attention
        yield Heads(attention.output.dense, inner.config.num_attention_heads)
        yield Norm(attention.output.LayerNorm)
        yield Own(block.output.dense)
        yield Norm(block.output.LayerNorm)
    yield Take(0)
    if hasattr(tower, "pre_LN"):  # AltCLIP
        yield Norm(tower.pre_LN)
        yield Linear(tower.transformation.weight, tower.transformation.bias)
    projection = getattr(model, "text_proj", None) or model.text_projection
    yield Linear(projection.weight, projection.bias)
