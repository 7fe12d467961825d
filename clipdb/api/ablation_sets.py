"""The sets of heads that are ablated, and the table of what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import choose_heads, random_sets
from clipdb.queries.functions.base.context import Context
from clipdb.schema.names import Head, head_name

if TYPE_CHECKING:
    from clipdb.api.ablation_runs import Measured

COLUMNS = (
    "heads", "part", "name", "images", "before", "direct", "causal", "causal_low", "causal_high", "difference",
    "difference_low", "difference_high", "control_direct", "control_causal", "control_low", "control_high",
)  # fmt: skip
"""The columns of `clipdb.api.ablating.Ablation.rows`."""

Row = tuple[str | int | float | None, ...]

_DRAWS = 2000
_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


def choose_sets(
    context: Context,
    model: str,
    heads: Sequence[str],
    conditions: Mapping[str, str | None],
    each: bool,
    control: int,
    seed: int,
) -> list[list[list[Head]]]:
    """Choose the set, followed by its random controls; or with ``each`` one set for every head, alone.

    The conditions are arguments of `clipdb.queries.functions.base.ablation.choose_heads`.

    Raises
    ------
    ClipdbError
        If nothing is chosen, or something asked for isn't there.
    """
    if not each and not heads and all(one is None for one in conditions.values()):
        raise ClipdbError("no heads to ablate: choose them by heads, property, layers, labeller or ccs, or take each")
    chosen = choose_heads(context, model, ",".join(heads) if heads else None, **conditions, partition="trunk")
    if each:
        return [[[head]] for head in chosen]
    return [[chosen, *random_sets(context.store.heads(model), chosen, control, seed)]]


def tabulate(found: Measured, sets: Sequence[Sequence[Head]], seed: int, grouped: bool) -> list[Row]:
    """Make the rows of `clipdb.api.ablating.Ablation` of the first set; the others are its controls.

    The worst group is one of the task's groups where images are grouped, or else of its classes.
    """
    task = found.task
    classes = [("class", task.classes[one], task.truth == one) for one in np.unique(task.truth)]
    groups = [("group", task.groups[one], task.group == one) for one in np.unique(task.group)] if grouped else []
    everything = ("all", None, np.ones(len(found.before), bool))
    heads, controls = set_name(sets[0]), range(1, len(sets))
    rows: list[Row] = [
        (heads, part, name, int(where.sum()), *_figures(found, where, seed), *_controls(found, controls, where))
        for part, name, where in (everything, *classes, *groups)
    ]
    return [*rows, (heads, *_worst(found, groups or classes, controls))]


def set_name(heads: Sequence[Head]) -> str:
    """Name a set by its heads: ``L3.H0,L3.H3``."""
    return ",".join(head_name(*head) for head in heads)


def _figures(found: Measured, where: np.ndarray, seed: int) -> tuple[float, ...]:
    before, direct, causal = found.before[where], found.direct[0, where], found.causal[0, where]
    share = float(causal.mean())
    return (
        float(before.mean()),
        float(direct.mean()),
        share,
        *wilson(int(causal.sum()), len(causal)),
        share - float(direct.mean()),
        *bootstrap(causal.astype(int) - direct.astype(int), seed),
    )


def _controls(found: Measured, controls: range, where: np.ndarray) -> tuple[float | None, ...]:
    if not controls:
        return None, None, None, None
    direct = [float(found.direct[place, where].mean()) for place in controls]
    causal = [float(found.causal[place, where].mean()) for place in controls]
    return sum(direct) / len(direct), sum(causal) / len(causal), min(causal), max(causal)


def _worst(found: Measured, members: Sequence[tuple[str, str, np.ndarray]], controls: range) -> Row:
    """Make the row of the lowest accuracies of a class or group: each figure is that of its own worst one."""

    def lowest(right: np.ndarray) -> tuple[float, int]:
        return min((float(right[where].mean()), at) for at, (_, _, where) in enumerate(members))

    before, at_first = lowest(found.before)
    causal, at = lowest(found.causal[0])
    direct, _ = lowest(found.direct[0])
    where = members[at][2]
    name = " -> ".join(dict.fromkeys((members[at_first][1], members[at][1])))
    interval = wilson(int(found.causal[0, where].sum()), int(where.sum()))
    control: tuple[float | None, ...] = (None, None, None, None)
    if controls:
        direct_ones = [lowest(found.direct[one])[0] for one in controls]
        ones = [lowest(found.causal[one])[0] for one in controls]
        control = sum(direct_ones) / len(ones), sum(ones) / len(ones), min(ones), max(ones)
    # Of two classes or groups the images aren't the same, so the difference has no paired interval.
    return (
        "worst group",
        name,
        int(where.sum()),
        before,
        direct,
        causal,
        *interval,
        causal - direct,
        None,
        None,
        *control,
    )


def wilson(right: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, JASA 22, 1927): it has a width at 0 and 1, too."""
    share, square = right / images, _Z * _Z / images
    centre = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * (share * (1 - share) / images + square / (4 * images)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(changes: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of -1, 0 and 1 over images drawn with replacement."""
    counts = np.array([(changes == value).sum() for value in (-1, 0, 1)])
    drawn = np.random.default_rng(seed).multinomial(len(changes), counts / len(changes), size=_DRAWS)
    low, high = np.quantile((drawn[:, 2] - drawn[:, 0]) / len(changes), [0.025, 0.975])
    return float(low), float(high)
