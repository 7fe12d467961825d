"""Two models of an index whose heads are compared."""

from __future__ import annotations

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.context import Context


def two_models(context: Context, a: str | None, b: str | None) -> tuple[str, str]:
    """Choose two models that have images: those asked for, or the only two, a base before its fine-tune.

    Raises
    ------
    ClipdbError
        If they are not there, are the same, or several could be meant.
    """
    known = context.store.models("images")
    bases = {base for (base,) in context.rows("select base from models where base is not null")}
    chosen = [name and context.model(name) for name in (a, b)]
    if None in chosen:
        left = [name for name in known if name not in chosen]
        if len(left) != chosen.count(None):
            raise ClipdbError(
                f"choose two models of this index, --a MODEL --b MODEL: it has {', '.join(known) or 'none'}"
                + ("; `clipdb ingest images SRC --model MODEL` adds one" if len(known) < 2 else "")
            )
        if chosen == [None, None]:  # what was there first is the first
            left.sort(key=lambda name: name not in bases)
        chosen = [name or left.pop(0) for name in chosen]
    one, other = (str(name) for name in chosen)
    if one == other:
        raise ClipdbError(f"both models are {one}: choose two different ones")
    return one, other


def require_shared(context: Context, one: str, other: str, images: np.ndarray) -> None:
    """Check that two models have run over some of the same images.

    Parameters
    ----------
    images
        How many each pair of heads shares.

    Raises
    ------
    ClipdbError
        If there is none.
    """
    if not images.any():
        raise ClipdbError(
            f"{one} and {other} share no images, over which their heads could be compared: run `clipdb ingest images "
            f"SRC --model {other}` with a SRC that {one} has been run over",
            kind="absent",
        )
