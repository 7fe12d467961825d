"""The adapter of every family that is described as a list of operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from clipdb.errors import ClipdbError
from clipdb.models.tower import POOL, Captured, CapturedTokens, Partition
from clipdb.models.tracing.attention import AttentionCalls
from clipdb.models.tracing.composition import Composition, Part, compose
from clipdb.models.tracing.operations import AttentionPool, Heads, Operation
from clipdb.models.tracing.recording import Recording

# Largest difference between a head's output and the sum over tokens of attention weight times value, relative.
_SAME_OUTPUT = 1e-2


@dataclass(frozen=True)
class Geometry:
    """What the operations don't say of a tower.

    Attributes
    ----------
    embed_dim
        Size D of the embedding.
    image_size, patch_size
        Sides in pixels of the image, and of the square of it that a token stands for.
    pooling
        What the index writes down about it: ``tok``, ``avg`` or ``attention``.
    other_tokens
        Names of the tokens that are no patch, which come before the patches.
    """

    embed_dim: int
    image_size: int
    patch_size: int
    pooling: str
    other_tokens: Sequence[str] = ()


class TracedTower(ABC):
    """An `clipdb.models.tower.Adapter` that a family completes with a name, `misfit`, `operations` and `geometry`.

    The algebra is in `clipdb.models.tracing`.
    """

    name: str

    def __init__(self, visual: Any) -> None:
        self.visual = visual
        found = self.geometry()
        self.embed_dim, self.pooling = found.embed_dim, found.pooling
        self.image_size, self.patch_size = found.image_size, found.patch_size
        self.other_tokens = found.other_tokens
        steps = list(self.operations())
        trunk = [op for op in steps if isinstance(op, Heads)]
        pool = next((op for op in steps if isinstance(op, AttentionPool)), None)
        self.layers = len(trunk)
        self.heads = trunk[0].count if trunk else 0
        self.head_dim = trunk[0].out.in_features // self.heads if trunk else 0
        self.pool_heads, self.pool_head_dim = (0, 0) if pool is None else pool.value.shape[:2]
        self.width = int(trunk[0].out.out_features if pool is None or trunk else pool.value.shape[-1])

    @cached_property
    def _composition(self) -> Composition:
        """The tower as a sum; made when it is needed first, since the weights come after the tower."""
        return compose(self.operations(), self.embed_dim, next(self.visual.parameters()).device)

    @classmethod
    @abstractmethod
    def misfit(cls, visual: Any) -> str | None:
        """Return why the family doesn't fit this tower; None where it does."""

    @abstractmethod
    def operations(self) -> Iterable[Operation]:
        """Yield what the tower does to its residual stream, in order."""

    @abstractmethod
    def geometry(self) -> Geometry:
        """Return what the operations don't say."""

    def exposed(self) -> AbstractContextManager[None]:
        """Let every module be called that the operations name, where the model's own code goes past one."""
        return nullcontext()

    @torch.inference_mode()
    def capture(self, images: torch.Tensor, layers: Sequence[int]) -> Captured:
        """Embed images and keep the heads of some layers: see `clipdb.models.tower.Adapter`."""
        record = self._record(images, [self._part(layer) for layer in layers])
        return Captured(record.embedding, {layer: self._outputs(record, layer) for layer in layers})

    @torch.inference_mode()
    def capture_tokens(self, images: torch.Tensor, layers: Sequence[int]) -> CapturedTokens:
        """Embed images and keep the heads of some layers token by token: see `clipdb.models.tower.Adapter`.

        A token t of the stream has in it what the head read at tokens s, ``sum_s a_ts v_s``, so with ``W_gt`` what t
        counts for behind the pooling, s gives ``(sum_t W_gt a_ts) v_s``: each token counts where it was read.
        """
        with AttentionCalls([self._part(layer).source for layer in layers if layer != POOL]) as calls:
            record = self._record(images, [self._part(layer) for layer in layers])
        found = {}
        for layer in layers:
            part = self._part(layer)
            if layer == POOL:
                found[layer] = self._with_left_out(record.pool_values(part))
                continue
            counts = record.weights(part) / record.once(part)[:, None, None]
            found[layer] = calls.by_token(part.source, counts, self._composition.pool.read)
            whole = self._outputs(record, layer)
            if not (found[layer].sum(dim=2) - whole).abs().max() <= _SAME_OUTPUT * whole.abs().max():
                raise ClipdbError(f"the attention of layer {layer} isn't a sum over tokens: its heads can't be located")
        return CapturedTokens(record.embedding, found)

    def output_map(self, layer: int) -> np.ndarray:
        """Return ``B[l, h]`` of every head of a layer, float64 ``[H, D, G k]``."""
        part = self._part(layer)
        maps = part.matrices()  # G D n
        if isinstance(part.source, Heads):
            maps = maps.unflatten(-1, (part.source.count, -1)).permute(2, 1, 0, 3).flatten(2)
        return maps.cpu().numpy()

    @torch.inference_mode()
    def rest(self, images: torch.Tensor, partition: Partition) -> torch.Tensor:
        """Sum what a partition has beside heads: see `clipdb.models.tower.Adapter`."""
        parts = self._composition.rest if partition == "trunk" else self._composition.pool_rest
        return self._record(images, parts).total().float()

    def _part(self, layer: int) -> Part:
        part = self._composition.pool_heads if layer == POOL else self._composition.heads[layer]
        assert part is not None, f"{self.name} has no attention pooling"
        return part

    def _record(self, images: torch.Tensor, parts: Sequence[Part]) -> Recording:
        with self.exposed():
            return Recording(self._composition, parts).run(lambda: self.visual(images))

    def _outputs(self, record: Recording, layer: int) -> torch.Tensor:
        part = self._part(layer)
        return record.pool_outputs(part) if layer == POOL else record.pooled(part)

    def _with_left_out(self, values: torch.Tensor) -> torch.Tensor:
        """Put zeros where the pooling leaves tokens out, ``[batch, G, tokens, k]``."""
        left_out = getattr(self._composition.pool, "left_out", 0)
        return torch.nn.functional.pad(values, (0, 0, left_out, 0))
