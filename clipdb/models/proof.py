"""The proof that a model's embedding is the sum of its components, on real images, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clipdb.errors import ClipdbError
from clipdb.models.decomposition import Decomposer
from clipdb.models.tower import Adapter, Captured, Partition, partitions
from clipdb.schema.names import Head, belongs_to

# Largest ||sum of components - encode_image|| / ||encode_image|| that passes the proof, by precision.
TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2, "fp16": 2e-2}


def reconstruction_errors(
    decomposer: Decomposer, images: torch.Tensor, reference: torch.Tensor
) -> dict[Partition, float]:
    """Add up all components of the embedding, and compare with the model's own.

    Heads of the decomposer's layers go through head space, as they are stored; those of all others through their maps.
    MLPs, biases and the stem come from their own modules, never as the remainder; those that are kept go through the
    form in which they are stored, too.

    Parameters
    ----------
    decomposer
        The tower, with the heads that are kept.
    images
        Preprocessed images ``[batch, 3, S, S]``.
    reference
        ``model.encode_image(images)``, ``[batch, D]``.

    Returns
    -------
    dict
        For each way in which the embedding splits, the largest L2 error over the batch, relative to the embedding's
        norm; NaN or infinite where a component is.
    """
    adapter, reference = decomposer.adapter, reference.float()
    errors: dict[Partition, float] = {}
    for partition, layers in partitions(adapter).items():
        beside = [one for one in adapter.components() if belongs_to(one, partition)] if decomposer.components else []
        captured = adapter.capture(images, layers, beside)
        _, norm, kept = decomposer.vectors(captured)
        by_head = {(layer, head): y[:, head] for layer, y in kept.items() for head in range(y.shape[1])}
        total = decomposer.contributions(norm, by_head | decomposer.component_vectors(captured))
        if beside:
            total += _exact(adapter, captured, beside, decomposer.components)
        else:
            total += adapter.rest(images, partition)
        for layer in captured.heads.keys() - kept.keys():  # one at a time: the maps of all would fill the memory
            maps = torch.from_numpy(adapter.output_map(layer)).to(norm.device)
            total += torch.einsum("hdn,bhn->bd", maps, captured.heads[layer].double()).float()
        errors[partition] = float(((total - reference).norm(dim=-1) / reference.norm(dim=-1)).max())
    return errors


def _exact(adapter: Adapter, captured: Captured, components: Sequence[Head], without: Sequence[Head]) -> torch.Tensor:
    """Sum components that are not kept, through their exact maps: float32 ``[batch, D]``."""
    total = torch.zeros_like(captured.embedding)
    for one in components:
        if one not in without:
            z, fixed = captured.components[one], adapter.component_map(one)
            total += z if fixed is None else (z.double() @ torch.from_numpy(fixed).to(z.device).T).float()
    return total


def prove(
    decomposer: Decomposer, images: torch.Tensor, reference: torch.Tensor, precision: str, model_id: str
) -> float:
    """Return the largest of `reconstruction_errors`, or refuse a model whose components don't add up.

    Raises
    ------
    ClipdbError
        If the error is over the bound of the precision (1e-4 in fp32, 2e-2 in bf16 and fp16) or not finite.
    """
    errors = reconstruction_errors(decomposer, images, reference).values()
    error = max(errors, key=lambda one: float("inf") if one != one else one)  # NaN is the largest
    if not error <= TOLERANCE[precision]:
        raise ClipdbError(
            f"{model_id} is refused: the components differ from encode_image by {error:.1e} of its norm "
            f"(bound {TOLERANCE[precision]:.0e} in {precision}): check the weights and the architecture's name, "
            f"or try --precision fp32; nothing was written"
        )
    return error
