"""Over how many images a page compares heads."""

from __future__ import annotations

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index

COMPUTED_IMAGES = 2000
"""Over how many images heads are compared where nothing is stored: a page can't wait for more."""


def stored_likeness(index: Index, model: str, other: str | None = None) -> int | None:
    """Return over how many images `clipdb span` compared the heads of a model, or of two; None if nothing is stored."""
    from clipdb.queries.functions.base.head_pairs import stored_sample  # .4 s, for which no server need wait

    try:
        return stored_sample(index.context, model, other or model)
    except ClipdbError:  # a model without vectors, of which the page says so
        return None


def likeness_images(index: Index, model: str, other: str | None = None) -> int:
    """Return what to give ``alike`` and ``match`` as ``images``, so that a page needn't wait."""
    stored = stored_likeness(index, model, other)
    return COMPUTED_IMAGES if stored is None else stored
