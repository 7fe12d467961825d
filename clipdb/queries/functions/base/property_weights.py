"""Properties with weights, as a person writes them: ``texture:2,colour``."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from clipdb.errors import ClipdbError
from clipdb.queries.resolve import spelled, unknown_property

_END = re.compile(r"[\s.,;:!?]+$")


def normal_property(name: str) -> str:
    """Fold a property's name as the view ``normal_property`` does: lower case, no punctuation at the end."""
    return _END.sub("", name.lower()).strip()


def parse_weights(written: str, known: Collection[str], whose: str = "") -> dict[str, float]:
    """Read properties with weights.

    Parameters
    ----------
    written
        Properties separated by commas, each with ``:WEIGHT`` after it if that is not 1. A property is named by all of
        its name or by a part that no other has; 'color' is 'colour'.
    known
        The normal names of the properties that heads carry.
    whose
        Of which model, as `` of MODEL``, for messages.

    Returns
    -------
    dict
        Weight by normal name.

    Raises
    ------
    ClipdbError
        If a property is unknown (the nearest are in the message), ambiguous or named twice, or a weight isn't one.
    """
    if not written.strip(" ,"):
        raise ClipdbError("no property is named: write one, as texture, or several with weights, as texture:2,colour")
    if (whole := _exact(written, known)) is not None:
        return {whole: 1.0}  # a name may itself have a comma
    weights: dict[str, float] = {}
    for part in filter(str.strip, written.split(",")):
        name, colon, weight = part.rpartition(":")
        if not colon:
            name, weight = part, "1"
        found = _find(name.strip(), known, whose)
        if found in weights:
            raise ClipdbError(f"the property {found!r} is named twice in {written!r}")
        weights[found] = _weight(weight, part)
    return weights


def _exact(name: str, known: Collection[str]) -> str | None:
    return next((one for one in known if spelled(one) == spelled(normal_property(name))), None)


def _find(name: str, known: Collection[str], whose: str) -> str:
    if (exact := _exact(name, known)) is not None:
        return exact
    parts = [one for one in known if name and spelled(name) in spelled(one)]
    if len(parts) > 1:
        raise ClipdbError(f"{name!r} could be several properties: {', '.join(sorted(parts))}: write more of it")
    if not parts:
        raise unknown_property(name, sorted(known), whose)
    return parts[0]


def _weight(written: str, part: str) -> float:
    try:
        weight = float(written)
    except ValueError:
        weight = math.nan
    if not (weight > 0 and math.isfinite(weight)):
        raise ClipdbError(f"{part.strip()!r} has no weight after the colon: write a number above 0, as texture:2")
    return weight
