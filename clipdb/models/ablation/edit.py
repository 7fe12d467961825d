"""What becomes of some heads' outputs in one layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Edit:
    """Replace the outputs of some heads of a layer.

    The output of a head is its slice of what goes into the output projection: to zero it is to zero the matching
    columns of the projection, whose bias stays.

    Attributes
    ----------
    heads
        The heads within the layer.
    kept
        What they write in place of their own output: ``[tokens, heads, k]``, or ``[1, heads, k]`` for all tokens; None
        for zero.
    class_token
        Whether only their output at the class token, the first, is replaced.
    """

    heads: Sequence[int]
    kept: torch.Tensor | None = None
    class_token: bool = False

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        """Return edited outputs of a layer's heads, ``[batch, tokens, H, k]``."""
        z = z.clone()
        tokens = 1 if self.class_token else z.shape[1]
        z[:, :tokens, list(self.heads)] = 0 if self.kept is None else self.kept[:tokens].to(z)
        return z
