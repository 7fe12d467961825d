"""Running a model without some of its heads: what changes in every later layer is computed anew.

`begin` runs it with all heads; the `Run` that it returns then gives the embedding for one set of `Edit` after another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import torch

from clipdb.errors import ClipdbError
from clipdb.models.ablation.edit import Edit
from clipdb.models.tower import Adapter

__all__ = ["Edit", "Run", "begin"]


class Run(Protocol):
    """See `clipdb.models.ablation.class_token.ClassTokenRun`."""

    outputs: dict[int, torch.Tensor]
    embedding: torch.Tensor
    nbytes: int

    def without(self, edits: Mapping[int, Edit]) -> torch.Tensor:
        """Run the model on from the first edited layer: its embedding, float32 ``[batch, D]``."""


def begin(adapter: Adapter, images: torch.Tensor, layers: Collection[int], every_token: bool = False) -> Run:
    """Run a tower with all its heads, ready to be run again without some in these layers.

    Raises
    ------
    ClipdbError
        If the tower is of a family whose heads can't be replaced.
    """
    from clipdb.models.ablation.class_token import ClassTokenRun
    from clipdb.models.ablation.traced import TracedRun
    from clipdb.models.towers.open_clip_class_token import OpenClipClassToken
    from clipdb.models.tracing.traced_tower import TracedTower

    if isinstance(adapter, OpenClipClassToken):
        return ClassTokenRun(adapter, images, layers, every_token)
    if isinstance(adapter, TracedTower):
        return TracedRun(adapter, images, layers)
    raise ClipdbError(f"towers of the family {adapter.name} can't be run without heads")
