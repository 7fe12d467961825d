"""What a head adds to the embedding, found plainly: its output is taken away while all else stays as it was.

The tower runs in float64, once to remember what its norms divide by, what its MLPs and attention give and how its
pooling weighs tokens, and then again with all of that as it was, but for one head's output. What the embedding loses is
what the head adds. Nothing of clipdb is used.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from timm.layers import RmsNorm
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_MLPS = ("Mlp", "SwiGLU", "GluMlp", "GeGluMlp")


class FrozenTower(TorchFunctionMode):
    """A tower with one pass remembered.

    Parameters
    ----------
    visual
        The tower; a copy of it is used.
    images
        ``[batch, 3, S, S]``, or a text's tokens ``[1, T]``.
    layers
        How many of its calls of attention are layers of its trunk; one that follows is its pooling.
    """

    def __init__(self, visual: Any, images: torch.Tensor, layers: int) -> None:
        super().__init__()
        self._visual, self._layers = copy.deepcopy(visual).double(), layers
        self._images = images.double() if images.is_floating_point() else images
        self._kept: dict[Any, torch.Tensor] = {}
        self._calls, self._without = 0, None
        self.embedding = self._run()

    def without(self, layer: int, head: int) -> torch.Tensor:
        """Return the embedding without a head's output, -1 being the pooling's layer: float64 ``[batch, D]``."""
        self._without = (layer if layer >= 0 else self._layers, head)
        return self._run()

    @torch.no_grad()
    def _run(self) -> torch.Tensor:
        self._calls = 0
        with ExitStack() as stack:
            for name, module in self._visual.named_modules():
                kind = type(module).__name__
                if isinstance(module, torch.nn.LayerNorm | RmsNorm):
                    stack.callback(module.register_forward_hook(self._freeze_norm).remove)
                elif kind in _MLPS or name.endswith(".mlp") or _is_mlp_of_bert(name):
                    stack.callback(module.register_forward_hook(self._freeze_output).remove)
                elif kind == "BlipAttention":  # which doesn't call torch's attention
                    hook = partial(self._freeze_heads, module.num_heads)
                    stack.callback(module.projection.register_forward_pre_hook(hook).remove)
            stack.enter_context(self)
            found = self._visual(self._images)
        return found[0] if isinstance(found, tuple) else found

    def _freeze_norm(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        (x,) = inputs
        x = x - x.mean(dim=-1, keepdim=True) if isinstance(module, torch.nn.LayerNorm) else x
        sigma = self._kept.setdefault((module, x.dim()), (x.square().mean(dim=-1, keepdim=True) + module.eps).sqrt())
        bias = getattr(module, "bias", None)
        return x / sigma * module.weight + (0 if bias is None else bias)

    def _freeze_output(self, module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return self._kept.setdefault(module, output)

    def _freeze_heads(self, heads: int, module: Any, inputs: Any) -> torch.Tensor:
        place, self._calls = self._calls, self._calls + 1
        z = self._kept.setdefault(place, inputs[0]).clone()
        if self._without is not None and self._without[0] == place:
            z.unflatten(-1, (heads, -1))[:, :, self._without[1]] = 0
        return z

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        place, self._calls = self._calls, self._calls + 1
        logits = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        weights = (logits if mask is None else logits + mask).softmax(dim=-1)
        if place < self._layers:
            z = self._kept.setdefault(place, weights @ v)
        else:
            z = self._kept.setdefault(place, weights) @ v
        if self._without is not None and self._without[0] == place:
            z = z.clone()
            z[:, self._without[1]] = 0
        return z

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            mask = args[3] if len(args) > 3 else kwargs.get("attn_mask")
            if kwargs.get("is_causal"):
                mask = torch.full((args[0].shape[2],) * 2, float("-inf")).triu(1)
            elif mask is not None and mask.dtype == torch.bool:
                mask = torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))
            return self._attend(*args[:3], mask)
        if func is functional.multi_head_attention_forward:
            return self._multi_head(*args, **kwargs), None
        return func(*args, **kwargs)

    def _multi_head(
        self, query: Any, key: Any, value: Any, size: int, heads: int, joint: Any, bias: Any, *args: Any, **named: Any
    ) -> torch.Tensor:
        """torch's attention, ``[tokens, batch, d]``, written out."""
        out, out_bias = (args[4], args[5]) if len(args) > 4 else (named["out_proj_weight"], named["out_proj_bias"])
        ways = [named.get(f"{one}_proj_weight") for one in "qkv"] if joint is None else joint.chunk(3)
        split = [
            (x @ weight.T + one).transpose(0, 1).unflatten(-1, (heads, -1)).transpose(1, 2)
            for x, weight, one in zip((query, key, value), ways, bias.chunk(3), strict=True)
        ]
        mask = named.get("attn_mask")
        mask = mask.unflatten(0, (-1, heads)) if mask is not None and mask.dim() == 3 else mask
        z = self._attend(*split, mask)
        return (z.transpose(1, 2).flatten(2) @ out.T + out_bias).transpose(0, 1)


def _is_mlp_of_bert(name: str) -> bool:
    return name.endswith(".output.dense") and not name.endswith(".attention.output.dense")


def compared(plain: FrozenTower, decomposer: Any, images: torch.Tensor) -> Iterator[tuple[Any, float, float]]:
    """Yield each head, how far what it is said to write is from what is lost without it, and the least that is lost.

    Both are relative to the embedding's length, the first of the image where they are farthest apart.
    """
    _, norm, heads = decomposer(images)
    for layer, vectors in heads.items():
        for head in range(vectors.shape[1]):
            basis = torch.tensor(decomposer.bases[layer, head])
            written = norm.double()[:, None] * (vectors[:, head].double() @ basis.T)
            lost = plain.embedding - plain.without(layer, head)
            apart, size = ((one.norm(dim=-1) / norm) for one in (written - lost, lost))
            yield (layer, head), float(apart.max()), float(size.min())
