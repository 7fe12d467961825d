"""Agreement of labellers and judges, counted plainly in Python."""

from __future__ import annotations

import string
from collections import Counter
from itertools import combinations
from typing import Any

Unit = tuple[Any, ...]


Ratings = dict[str, dict[Unit, dict[str, str]]]
"""What each rater says of each unit, by kind; the unit's first part is its model."""


def normal(text: str | None) -> str:
    return (text or "").lower().strip().rstrip(string.whitespace + ".,;:!?")


def named(labels: list[dict[str, Any]], pool: str | None = None) -> dict[Unit, dict[str, tuple[str, str]]]:
    """Each labeller's newest name of each head, with the pool: 'not NAME' for a person's rejection."""
    found: dict[Unit, dict[str, tuple[str, str]]] = {}
    for row in sorted(sorted(labels, key=lambda row: row["pool"], reverse=True), key=lambda row: row["run"]):
        struck = row["status"] == "rejected" and row["labeller"].startswith("human:")
        name = normal(row["property"])
        if not name and row["status"] == "ok" and row["labeller"].startswith("llm:"):
            name = "none of these"
        unit = (row["model_id"], row["layer"], row["head"])
        if not name and row["status"] == "ok" and row["labeller"] == "zero-shot" and pool in (None, row["pool"]):
            found.get(unit, {}).pop("zero-shot", None)  # what it is no longer sure of it does not say
        if (row["status"] == "ok" or struck) and name and pool in (None, row["pool"]):
            value = ("not " if struck else "") + name
            found.setdefault(unit, {})[row["labeller"]] = (value, row["pool"])
    return found


def judged(judgements: list[dict[str, Any]]) -> dict[Unit, dict[str, str]]:
    """Each judge's latest verdict on each description and property of a head."""
    latest: dict[Unit, dict[str, bool | None]] = {}
    for row in sorted(judgements, key=lambda row: (row["run"], row["property"])):
        if row["status"] == "ok":
            unit = (row["model_id"], row["layer"], row["head"], row["text_id"], normal(row["property"]))
            latest.setdefault(unit, {})[row["judge"]] = row["verdict"]
    return {
        unit: {judge: str(verdict).lower() for judge, verdict in found.items() if verdict is not None}
        for unit, found in latest.items()
    }


def ratings_of(labels: list[dict[str, Any]], judgements: list[dict[str, Any]], pool: str | None = None) -> Ratings:
    names = named(labels, pool)
    return {
        "labels": {unit: {who: value for who, (value, _) in found.items()} for unit, found in names.items()},
        "judgements": judged(judgements),
    }


def kappa(pairs: list[tuple[str, str]]) -> float | None:
    """Cohen's kappa by its definition."""
    n = len(pairs)
    observed = sum(a == b for a, b in pairs) / n
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    if len(first) == 1 and first.keys() == second.keys():
        return None
    chance = sum(first[value] / n * second[value] / n for value in first)
    return (observed - chance) / (1 - chance)


def alpha(units: list[list[str]]) -> float | None:
    """Krippendorff's alpha by its definition: disagreeing pairs within units over disagreeing pairs anywhere."""
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    if len(set(values)) < 2:
        return None
    within = sum(2 / (len(unit) - 1) * sum(a != b for a, b in combinations(unit, 2)) for unit in units)
    anywhere = 2 / (len(values) - 1) * sum(a != b for a, b in combinations(values, 2))
    return 1 - within / anywhere
