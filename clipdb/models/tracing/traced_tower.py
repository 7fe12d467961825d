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
from clipdb.models.tracing.constants import Constants, fixed, gather
from clipdb.models.tracing.operations import AttentionPool, Heads, Operation, Stem, Take
from clipdb.models.tracing.recording import Recording
from clipdb.schema.names import MLP, REST, TRUNK, Head

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
    def capture(self, images: torch.Tensor, layers: Sequence[int], components: Sequence[Head] = ()) -> Captured:
        """Embed images and keep the heads of some layers: see `clipdb.models.tower.Adapter`."""
        parts = [self._part(layer) for layer in layers] + [part for one in components for part in self._beside(one)]
        record = self._record(images, parts, apart=bool(components))
        heads = {layer: self._outputs(record, layer) for layer in layers}
        return Captured(record.embedding, heads, {one: self._component(record, one) for one in components})

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
        return self._record(images, parts).total(parts).float()

    def components(self) -> list[Head]:
        """List the parts that are no heads: see `clipdb.models.tower.Adapter`."""
        mlps = sorted({part.mlp for part in self._all_rest if part.mlp is not None})
        left = [(layer, REST) for layer in ([TRUNK] if self.layers else []) + ([POOL] if self.pool_heads else [])]
        return [*((layer, MLP) for layer in mlps), *(one for one in left if self._beside(one))]

    def component_map(self, component: Head) -> np.ndarray | None:
        """Return the map of such a part, float64 ``[D, n]``: see `clipdb.models.tower.Adapter`."""
        constants = None if component[1] == MLP else self._constants[component[0]]
        return None if constants is None else constants.map.cpu().numpy()

    @property
    def _all_rest(self) -> list[Part]:
        return self._composition.rest if self.layers else self._composition.pool_rest

    def _beside(self, component: Head) -> list[Part]:
        """Return the parts that a component is the sum of."""
        layer, kind = component
        if kind == MLP:
            return [part for part in self._all_rest if part.mlp == layer]
        parts = self._composition.rest if layer == TRUNK else self._composition.pool_rest
        return [part for part in parts if part.mlp is None]

    def _component(self, record: Recording, component: Head) -> torch.Tensor:
        constants = None if component[1] == MLP else self._constants[component[0]]
        return record.total(self._beside(component)).float() if constants is None else constants.counts(record)

    @cached_property
    def _constants(self) -> dict[int, Constants | None]:
        """What is left in each partition, by its layer; None where the stream begins with what the image shows."""
        found: dict[int, Constants | None] = {}
        for layer in (layer for layer, kind in self.components() if kind == REST):
            parts, stem = self._beside((layer, REST)), None
            begins = [part for part in parts if isinstance(part.source, Stem)]
            if begins and (stem := self._fixed_stem(begins[0])) is None:
                found[layer] = None
            else:
                found[layer] = gather(parts, stem)
        return found

    @torch.inference_mode()
    def _fixed_stem(self, stem: Part) -> torch.Tensor | None:
        """Try with two images whether the pooled token begins alike for all of them, as a class token does."""
        if not isinstance(self._composition.pool, Take):
            return None
        like = next(self.visual.parameters())
        black = torch.zeros(1, 3, self.image_size, self.image_size, dtype=like.dtype, device=like.device)
        return fixed(self._record(torch.cat([black, black + 1]), [stem]).written(stem))

    def _part(self, layer: int) -> Part:
        part = self._composition.pool_heads if layer == POOL else self._composition.heads[layer]
        assert part is not None, f"{self.name} has no attention pooling"
        return part

    def _record(self, images: torch.Tensor, parts: Sequence[Part], apart: bool = False) -> Recording:
        with self.exposed():
            return Recording(self._composition, parts, apart).run(lambda: self.visual(images))

    def _outputs(self, record: Recording, layer: int) -> torch.Tensor:
        part = self._part(layer)
        return record.pool_outputs(part) if layer == POOL else record.pooled(part)

    def _with_left_out(self, values: torch.Tensor) -> torch.Tensor:
        """Put zeros where the pooling leaves tokens out, ``[batch, G, tokens, k]``."""
        left_out = getattr(self._composition.pool, "left_out", 0)
        return torch.nn.functional.pad(values, (0, 0, left_out, 0))
