"""Choices of layers as people write them: ``last4``, ``all``, ``8-11``, ``0,5,10-11``, ``pool``."""

from __future__ import annotations

import re

from clipdb._util.notes import note
from clipdb._util.text import counted
from clipdb.errors import ClipdbError
from clipdb.schema.names import POOL

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_LAST = re.compile(r"last(\d+)")
_POOL = "pool"


def parse_layers(text: str, layers: int, option: str = "--layers", pool: bool = False) -> list[int]:
    """Read a choice of layers.

    Parameters
    ----------
    text
        ``last4``, ``all``, a layer, a range or several of them with commas, counted from 0, or ``pool`` for the heads
        of an attention pooling, alone or among them. ``last4`` of a model with fewer layers is
        all of them, with a note.
    layers
        How many the model has.
    option
        What a person called the choice, for messages.
    pool
        Whether its pooling has heads.

    Returns
    -------
    list of int
        In order; the pooling is `clipdb.schema.names.POOL`.

    Raises
    ------
    ClipdbError
        If it can't be read or names a layer that the model lacks.
    """
    parts = [part.strip() for part in text.split(",")]
    chosen: set[int] = set()
    for part in parts:
        if part == _POOL:
            if not pool:
                raise ClipdbError(f"{option} {text}: the model's pooling has no heads")
            chosen.add(POOL)
        elif part == "all" and len(parts) == 1:
            chosen |= set(range(layers)) | ({POOL} if pool else set())
        elif last := _LAST.fullmatch(part):
            if int(last[1]) > layers > 0:
                note(f"note: {option} {part}: the model has {counted(layers, 'layer')}, and all of them are taken")
            chosen |= set(range(max(layers - int(last[1]), 0), layers))
        elif several := _RANGE.fullmatch(part):
            chosen |= set(range(int(several[1]), int(several[2] or several[1]) + 1))
        else:
            raise ClipdbError(f"{option} {text}: write last4, all, 8-11 or 0,5,10-11 (counted from 0)")
    if not chosen or max(chosen) >= layers:
        there = f"the model has {layers} layers, 0 to {layers - 1}" if layers else "only the model's pooling has heads"
        raise ClipdbError(f"{option} {text}: {there}")
    return sorted(chosen)


def heads_there_are(layers: int, heads: int, pool_heads: int) -> str:
    """Say which heads a model has."""
    trunk = [f"layers 0 to {layers - 1} with {heads} heads each"] if layers else []
    return " and ".join([*trunk, *([f"{pool_heads} heads of its pooling"] if pool_heads else [])])
