"""One module a model family: how to read attention heads off its image tower.

Adding a family is adding a module with a class that follows `Adapter`, and a line in `FAMILIES`.
"""

from __future__ import annotations

from typing import Any

from clipdb.errors import ClipdbError
from clipdb.models.adapters.base import Adapter
from clipdb.models.adapters.open_clip_class_token import OpenClipClassToken

__all__ = ["Adapter", "adapt"]

FAMILIES: tuple[type[Adapter], ...] = (OpenClipClassToken,)


def adapt(model: Any, model_id: str) -> Adapter:
    """Find the adapter that fits a model's image tower.

    Raises
    ------
    ClipdbError
        If no family fits: the message names what the tower lacks.
    """
    reasons = []
    for family in FAMILIES:
        reason = family.misfit(model.visual)
        if reason is None:
            return family(model.visual)
        reasons.append(reason)
    raise ClipdbError(f"{model_id} can't be decomposed: {'; '.join(reasons)}: see `clipdb models` for those that can")
