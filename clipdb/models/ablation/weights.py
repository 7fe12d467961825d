"""A model's weights edited so that some heads write nothing, or the same for every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from clipdb.errors import ClipdbError
from clipdb.models.checkpoint import read_tensors
from clipdb.models.model import Model
from clipdb.models.tower import Adapter
from clipdb.schema.names import Head


@dataclass(frozen=True, eq=False)
class EditedWeights:
    """The tensors of a checkpoint after an edit, by name, and the names of those that it changed."""

    tensors: dict[str, torch.Tensor]
    changed: tuple[str, ...]


def edit_weights(model: Model, heads: Sequence[Head], means: Mapping[int, torch.Tensor] | None = None) -> EditedWeights:
    """Take heads of the trunk out of a model's weights.

    What attention adds to the residual stream is ``W_O z + b_O``, with z the outputs of the layer's heads side by side.
    ``W_O[:, h]``, the columns that read head h, become zero. With means, ``b_O`` becomes ``b_O + W_O[:, h] m_h``, so
    that the head writes its mean for every image and at every token: mean ablation (Gandelsman et al., arXiv
    2310.05916, section 3.2). All other tensors stay as they are, and each keeps its number type.

    Parameters
    ----------
    model
        The model, in float32.
    heads
        ``(layer, head)`` of the heads.
    means
        Mean outputs m of the heads before ``W_O``, ``[1, H, k]`` by layer; None for zero.

    Raises
    ------
    ClipdbError
        If the tower's heads can't be taken out by its weights, or the weights don't hold its output projections as
        they are.
    """
    tensors = read_tensors(model.weights)
    names = {id(parameter): name for name, parameter in model.network.named_parameters()}
    projections = _projections(model.adapter)
    size, changed = model.adapter.head_dim, []
    for layer in sorted({layer for layer, _ in heads}):
        parameter = projections[layer].weight
        name = _stored_name(tensors, parameter, names[id(parameter)], model.model_id)
        columns = [head * size + place for at, head in heads if at == layer for place in range(size)]
        if means is not None:
            bias = f"{name.removesuffix('weight')}bias"
            if bias not in tensors:
                raise ClipdbError(f"{model.model_id} has no {bias} that could hold the heads' mean: use --mode zero")
            mean = means[layer].flatten()[columns].double()
            added = tensors[name][:, columns].double() @ mean
            tensors[bias] = (tensors[bias].double() + added).to(tensors[bias].dtype)
            changed.append(bias)
        tensors[name] = tensors[name].clone()
        tensors[name][:, columns] = 0
        changed.append(name)
    return EditedWeights(tensors, tuple(sorted(changed)))


def _projections(adapter: Adapter) -> list[Any]:
    """Return the output projection of each layer's heads."""
    from clipdb.models.towers.open_clip_class_token import OpenClipClassToken
    from clipdb.models.tracing.operations import Heads
    from clipdb.models.tracing.traced_tower import TracedTower

    if isinstance(adapter, OpenClipClassToken):
        return [block.attn.out_proj for block in adapter.blocks]
    if not isinstance(adapter, TracedTower):
        raise ClipdbError(f"the weights of towers of the family {adapter.name} can't be edited")
    layers = [step for step in adapter.operations() if isinstance(step, Heads)]
    if any(one.inner is not None for one in layers):
        raise ClipdbError(
            "a norm between the heads and their output projection (sub-LN) mixes them, so no weights stand for this "
            "model without a head: `clipdb ablate` runs it without"
        )
    return [one.out for one in layers]


def _stored_name(tensors: Mapping[str, torch.Tensor], parameter: torch.Tensor, name: str, model_id: str) -> str:
    """Find the tensor that holds a parameter: by its numbers, since libraries rename tensors when they load them."""
    numbers = parameter.detach().cpu()
    alike = [
        one
        for one, tensor in tensors.items()
        if tensor.shape == numbers.shape and torch.equal(tensor.to(numbers.dtype), numbers)
    ]
    for known in (name, name.removeprefix("model.")):
        if known in alike:
            return known
    if len(alike) != 1:
        raise ClipdbError(f"the weights of {model_id} don't hold {name} as the model has it: they can't be edited")
    return alike[0]
