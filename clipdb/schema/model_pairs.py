"""What comparisons of two models' heads stand on: their joint spaces, and the state of their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MODELS = """
select model_id, base, embed_dim, (
    select concat_ws(' ', max(run), sum(added)::bigint) from batches b where b.model_id = m.model_id and kind = 'images'
) from models m
"""
"""SQL of what `Standing` is made from; of a catalog without batches, `MODELS_ALONE`."""

MODELS_ALONE = "select model_id, base, embed_dim, null from models"


@dataclass(frozen=True)
class Standing:
    """What is known of two models.

    Attributes
    ----------
    same_space
        Whether both embed into one joint space: they are one model, or one is a fine-tune of the other, or both are of
        a third.
    vectors
        State of their vectors of images: of another state, what was computed from them is stale. None where the
        catalog doesn't say.
    """

    same_space: bool
    vectors: str | None


def standing(models: Sequence[tuple[Any, ...]], one: str, other: str) -> Standing:
    """Return how two models stand to each other, from the rows of `MODELS`."""
    known = {row[0]: row for row in models}
    states = [known[model][3] if model in known else None for model in (one, other)]
    bases = {model: row[1] for model, row in known.items()}
    sizes = {known[model][2] if model in known else None for model in (one, other)}
    same = one == other or (len(sizes) == 1 and origin(bases, one) == origin(bases, other))
    if None in states:
        return Standing(same, None)
    return Standing(same, f"{states[0]}, {states[1]}, {'one space' if same else 'two spaces'}")


def origin(bases: Mapping[str, str | None], model: str) -> str:
    """Follow what models were fine-tuned from to the first of them; one that the index lacks counts too."""
    seen = [model]
    while (base := bases.get(seen[-1])) is not None and base not in seen:
        seen.append(base)
    return seen[-1]
