"""One module per family of image towers: how to read attention heads off it.

A family's module has a class called ``TOWER`` that follows `clipdb.models.tower.Adapter`. Modules of other packages are
found by their entry points ``clipdb.towers``.
"""

from __future__ import annotations

from typing import Any

from clipdb.errors import ClipdbError
from clipdb.models.tower import Adapter, unread
from clipdb.plugins import members

__all__ = ["Adapter", "adapt", "families"]


def families() -> list[type[Adapter]]:
    """Import every family; one of another package that can't be imported is left out, with a note."""
    return list(members("towers", __name__, "TOWER").values())


def adapt(model: Any, model_id: str) -> Adapter:
    """Find the first family that fits a model's image tower.

    Raises
    ------
    ClipdbError
        If none does: the message names what the tower lacks.
    """
    reasons: dict[str, None] = {}  # each once, in order
    for family in families():
        reason = family.misfit(model.visual)
        if reason is None:
            return family(model.visual)
        reasons[reason] = None
    if len(reasons) > 1:  # whoever knows this kind of tower says more
        reasons.pop(unread(model.visual), None)
    raise ClipdbError(f"{model_id} can't be decomposed: {'; '.join(reasons)}: see `clipdb models` for those that can")
