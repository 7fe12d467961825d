"""What SigLIP 2's NaFlex models are given: patches with their mask, and the shape of each picture's grid."""

from __future__ import annotations

import torch

from clipdb.models.patches import PADDING, ROW_BEGINS

Tensor = torch.Tensor


def model_input(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise patches with marks, uint8 ``[batch, N, 3 p^2 + 1]``; padding is 0, and marks stay.

    Parameters
    ----------
    pixels
        As `clipdb.models.patches.to_patches` makes them.
    mean, std
        Per channel ``[3]``, on pixels scaled to 0..1.

    Returns
    -------
    torch.Tensor
        float32 of the same shape.
    """
    marks = pixels[..., -1:].float()
    by_channel = pixels[..., :-1].float().div_(255).unflatten(-1, (-1, 3))
    patches = by_channel.sub_(mean).div_(std).flatten(-2)
    return torch.cat([patches * (marks != PADDING), marks], dim=-1)


def arguments(images: Tensor) -> dict[str, Tensor]:
    """Return how transformers wants what `model_input` returns."""
    marks = images[..., -1]
    mask = marks != PADDING
    rows = (marks == ROW_BEGINS).sum(dim=-1)
    shapes = torch.stack([rows, mask.sum(dim=-1) // rows], dim=-1)
    return {"pixel_values": images[..., :-1], "pixel_attention_mask": mask.long(), "spatial_shapes": shapes}
