"""Selectors of heads, as exports take them: ``property=colour``, ``layer=8-11``, ``head=L11.H3``, ``labeller=vote``."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import choose_heads
from clipdb.queries.functions.base.context import Context
from clipdb.queries.functions.base.partition import one_partition
from clipdb.schema.names import Head, Partition, parse_head

# Kinds of selectors, and what `choose_heads` calls each.
_SELECTORS = {"property": "properties", "layer": "layers", "head": "heads", "labeller": "labeller"}


def select_heads(
    context: Context, model: str, selectors: Sequence[str], partition: Partition | None = None
) -> list[Head]:
    """Find the heads that any of the selectors selects.

    Parameters
    ----------
    context
        The index.
    model
        Model name.
    selectors
        ``KIND=VALUE`` each, or names of heads with commas.
    partition
        Only heads of this partition; None where they may be of either, but not of both.

    Returns
    -------
    list
        ``(layer, head)`` in order; none without selectors.

    Raises
    ------
    ClipdbError
        If a selector selects nothing or is none, or the heads are of both partitions.
    """
    chosen: set[Head] = set()
    for selector in selectors:
        kind, _, value = selector.partition("=")
        if all(map(_is_head, selector.split(","))):
            kind, value = "head", selector
        if kind not in _SELECTORS or not value.strip():
            raise ClipdbError(
                f"{selector!r} selects no heads: write property=colour, layer=8-11, head=L11.H3 or labeller=vote"
            )
        chosen.update(choose_heads(context, model, partition=partition, **{_SELECTORS[kind]: value}))
    return sorted(one_partition(chosen, partition))


def _is_head(name: str) -> bool:
    try:
        parse_head(name)
    except ClipdbError:
        return False
    return True
