"""The metrics as loops over rows: what the tests compare the views with."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

RANKS = {"human": 1, "llm": 2, "import": 3, "zero-shot": 4, "vote": 5}

Row = Mapping[str, Any]
Head = tuple[str, int, int]
Source = tuple[str, str | None, str]
"""Model, pool and labeller; of current names the pool is None and the labeller 'current'."""


@dataclass(frozen=True)
class Name:
    """What a source calls a head."""

    key: str
    given_by: str
    pool: str


@dataclass(frozen=True)
class Score:
    """What a judge says of a head's first spans."""

    judged: int
    fit: int
    ties: int
    missing: int
    own: bool


def normal(text: str | None) -> str:
    return (text or "").lower().strip().rstrip(string.whitespace + ".,;:!?")


def head_of(row: Row) -> Head:
    return row["model_id"], row["layer"], row["head"]


def _human(row: Row) -> bool:
    return str(row["labeller"]).startswith("human:")


def struck(labels: Iterable[Row]) -> set[tuple[Head, str]]:
    """Properties that people rejected for a head and did not give again."""
    by_people = [row for row in labels if _human(row)]
    found = set()
    for rejection in by_people:
        if rejection["status"] == "rejected":
            given_again = any(
                row["status"] == "ok"
                and head_of(row) == head_of(rejection)
                and normal(row["property"]) == normal(rejection["property"])
                and (row["created_at"], row["run"]) > (rejection["created_at"], rejection["run"])
                for row in by_people
            )
            if not given_again:
                found.add((head_of(rejection), normal(rejection["property"])))
    return found


def names(labels: Iterable[Row]) -> dict[Source, dict[Head, Name]]:
    """What each source calls each head, current names among them."""
    labels = list(labels)
    newest: dict[tuple[Head, str, str], Row] = {}
    for row in sorted(labels, key=lambda row: (row["created_at"], row["run"])):
        if row["status"] == "ok":
            newest[head_of(row), row["pool"], row["labeller"]] = row
    newest = {key: row for key, row in newest.items() if normal(row["property"])}  # others say that none fits
    found: dict[Source, dict[Head, Name]] = {}
    precedence: dict[Head, list[tuple[Any, Name]]] = {}
    wrong = struck(labels)
    for (head, pool, labeller), row in newest.items():
        name = Name(normal(row["property"]), labeller, pool)
        found.setdefault((head[0], pool, labeller), {})[head] = name
        if (head, name.key) not in wrong:
            rank = RANKS[labeller.split(":")[0]]
            precedence.setdefault(head, []).append(((-rank, row["created_at"], row["run"], labeller, pool), name))
    for head, ranked in precedence.items():
        found.setdefault((head[0], None, "current"), {})[head] = max(ranked, key=lambda one: one[0])[1]
    return found


def entanglement(named: Mapping[Head, Name]) -> tuple[int, int, float]:
    """Labelled heads, shared ones, and the effective number of properties."""
    carriers = Counter(name.key for name in named.values())
    shared = sum(carriers[name.key] > 1 for name in named.values())
    entropy = -sum(count / len(named) * math.log(count / len(named)) for count in carriers.values())
    return len(named), shared, math.exp(entropy)


def verdicts(judgements: Iterable[Row]) -> dict[tuple[Head, str, str, str], bool | None]:
    """Each judge's latest verdict by head, text, property and judge."""
    latest = {}
    for row in sorted(judgements, key=lambda row: (row["run"], row["property"])):
        if row["status"] == "ok":
            latest[head_of(row), row["text_id"], normal(row["property"]), row["judge"]] = row["verdict"]
    return latest


def judges(judgements: Iterable[Row]) -> dict[str, set[str]]:
    """Who judged each model; 'majority' where two judges other than vote gave verdicts."""
    judgements = list(judgements)
    found: dict[str, set[str]] = {}
    for row in judgements:
        found.setdefault(row["model_id"], set()).add(row["judge"])
    for model in found:
        valid = {row["judge"] for row in judgements if row["model_id"] == model and row["status"] == "ok"}
        if len(valid - {"vote"}) >= 2:
            found[model].add("majority")
    return found


def score(
    latest: Mapping[tuple[Head, str, str, str], bool | None], head: Head, name: Name, judge: str, texts: Iterable[str]
) -> Score:
    """Count a judge's verdicts on some texts and a head's name."""
    judged = fit = ties = missing = 0
    own = False
    for text in texts:
        by_judge = {who: value for (*what, who), value in latest.items() if what == [head, text, name.key]}
        who = [one for one in by_judge if one != "vote"] if judge == "majority" else [judge]
        valid = {one: by_judge[one] for one in who if by_judge.get(one) is not None}
        yes = sum(value is True for value in valid.values())
        no = sum(value is False for value in valid.values())
        judged += yes != no
        fit += yes > no
        ties += yes == no > 0
        missing += yes == no == 0
        own = own or name.given_by in valid
    return Score(judged, fit, ties, missing, own and judged > 0)


def interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float] | tuple[None, None]:
    """Wilson's interval: the shares p with |successes / n - p| <= z sqrt(p (1 - p) / n), by its quadratic."""
    if n == 0:
        return None, None
    z = NormalDist().inv_cdf((1 + level) / 2)
    ends = np.roots([n + z * z, -2 * successes - z * z, successes * successes / n])
    return float(min(ends.real)), float(max(ends.real))


def reach(counts: Iterable[int], n: int, level: float = 0.95) -> tuple[float, float]:
    """An interval about the mean of equally likely counts by the normal approximation, in whole heads, over n."""
    values = np.array(list(counts), float)
    half = NormalDist().inv_cdf((1 + level) / 2) * values.std()
    low, high = math.floor(values.mean() - half + 1e-9), math.ceil(values.mean() + half - 1e-9)
    return max(0, low) / n, min(n, high) / n
