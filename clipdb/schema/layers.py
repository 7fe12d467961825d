"""Choices of layers as people write them: ``last4``, ``all``, ``8-11``, ``0,5,10-11``."""

from __future__ import annotations

import re

from clipdb.errors import ClipdbError

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_LAST = re.compile(r"last(\d+)")


def parse_layers(text: str, layers: int, option: str = "--layers") -> list[int]:
    """Read a choice of layers.

    Parameters
    ----------
    text
        ``last4``, ``all``, a layer, a range or several of them with commas, counted from 0. ``last4`` of a model with
        fewer layers is all of them.
    layers
        How many the model has.
    option
        What a person called the choice, for messages.

    Returns
    -------
    list of int
        In order.

    Raises
    ------
    ClipdbError
        If it can't be read or names a layer that the model lacks.
    """
    if text == "all":
        return list(range(layers))
    if last := _LAST.fullmatch(text):
        chosen = set(range(max(layers - int(last[1]), 0), layers))
    else:
        ranges = [_RANGE.fullmatch(part.strip()) for part in text.split(",")]
        if None in ranges:
            raise ClipdbError(f"{option} {text}: write last4, all, 8-11 or 0,5,10-11 (counted from 0)")
        chosen = {layer for r in ranges if r for layer in range(int(r[1]), int(r[2] or r[1]) + 1)}
    if not chosen or min(chosen) < 0 or max(chosen) >= layers:
        raise ClipdbError(f"{option} {text}: the model has {layers} layers, 0 to {layers - 1}")
    return sorted(chosen)
