"""Ablation in towers that are described as a list of operations: their own code runs, under hooks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from clipdb.models.ablation.edit import Edit
from clipdb.models.tracing.operations import Heads, Stem
from clipdb.models.tracing.traced_tower import TracedTower


class TracedRun:
    """A forward pass over images ``[batch, 3, S, S]`` that can be continued with other outputs of heads.

    The heads' outputs are replaced where the tracer reads them: in front of the output projection, and of a norm
    between the two (sub-LN). Blocks in front of the first edited layer don't run again: each returns what the last
    of them gave in the first pass.

    Parameters and attributes are those of `clipdb.models.ablation.class_token.ClassTokenRun`.
    """

    @torch.inference_mode()
    def __init__(
        self, tower: TracedTower, images: torch.Tensor, layers: Collection[int], every_token: bool = False
    ) -> None:
        steps = list(tower.operations())
        self._tower, self._images = tower, images
        self._heads = [step for step in steps if isinstance(step, Heads)]
        self._blocks = _blocks(tower.visual, steps, len(self._heads))
        self._given: dict[int, Any] = {}
        self.outputs: dict[int, torch.Tensor] = {}
        with ExitStack() as stack:
            for layer in layers:
                hook = _source(self._heads[layer]).register_forward_pre_hook(self._keep(layer))
                stack.callback(hook.remove)
                if self._blocks and layer:
                    hook = self._blocks[layer - 1].register_forward_hook(self._keep_given(layer))
                    stack.callback(hook.remove)
            self.embedding = self._run()
        self.nbytes = images.nbytes + 2 * sum(one.nbytes for one in self.outputs.values())

    @torch.inference_mode()
    def without(self, edits: Mapping[int, Edit]) -> torch.Tensor:
        """Run the model on from the first edited layer: its embedding, float32 ``[batch, D]``."""
        first = min(edits)
        with ExitStack() as stack:
            for block in self._blocks[:first]:
                block.forward = lambda *_, **__: self._given[first]
                stack.callback(delattr, block, "forward")
            for layer, edit in edits.items():
                hook = _source(self._heads[layer]).register_forward_pre_hook(self._replace(layer, edit))
                stack.callback(hook.remove)
            return self._run()

    def _run(self) -> torch.Tensor:
        with self._tower.exposed():
            found = self._tower.visual(self._images)
        return (found[0] if isinstance(found, tuple) else found).float()

    def _split(self, layer: int, z: torch.Tensor) -> torch.Tensor:
        return z.unflatten(-1, (self._heads[layer].count, -1))

    def _keep(self, layer: int) -> Callable[..., None]:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            self.outputs[layer] = self._split(layer, inputs[0])

        return hook

    def _keep_given(self, layer: int) -> Callable[..., None]:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            self._given[layer] = output

        return hook

    def _replace(self, layer: int, edit: Edit) -> Callable[..., tuple[torch.Tensor, ...]]:
        def hook(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return edit(self._split(layer, inputs[0])).flatten(-2), *inputs[1:]

        return hook


def _source(heads: Heads) -> Any:
    return heads.out if heads.inner is None else heads.inner.module


def _blocks(visual: nn.Module, steps: list[Any], layers: int) -> list[Any]:
    """Find the tower's blocks, by its first one; none where they aren't one list, and all run again then."""
    first = next((step.module for step in steps if isinstance(step, Stem)), None)
    for module in visual.modules():
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) == layers and module[0] is first:
            return list(module)
    return []
