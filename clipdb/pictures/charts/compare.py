"""Two models head by head: how alike the heads of a pair are, and how much of each model's variance they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, GREY, LINE, UP, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_PAIRS = 60


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw linear CKA of each pair of heads, and beside it each head's share of its model's variance.

    Parameters
    ----------
    rows
        Of the query `compare`. Of more than `MOST_PAIRS`, those that are least alike.
    """
    least = sorted(rows, key=lambda row: 2.0 if row["cka"] is None else row["cka"])[:MOST_PAIRS]
    shown = [row for row in rows if any(row is one for one in least)]
    cut = f"\nthe {MOST_PAIRS} of {len(rows)} pairs that are least alike" if len(rows) > MOST_PAIRS else ""
    first = rows[0]
    heading = f"{first['a']} and {first['b']}, heads paired by {first['aligned']}{cut}"
    figure, (left, right) = new_figure(WIDTH * 1.25, 1.7 + 0.22 * len(shown), heading, panels=2)
    for place, row in enumerate(shown):
        if row["cka"] is not None:
            colour = GREY if row["label"] in (None, "kept") else UP
            left.plot([0, row["cka"]], [place, place], color=colour, linewidth=1)
            left.plot(row["cka"], place, "o", color=colour, markersize=5)
        shares = [row[name] for name in ("variance", "other_variance")]
        if None not in shares:
            right.plot(shares, [place, place], color=DOWN, linewidth=1.2)
        if shares[0] is not None:
            right.plot(shares[0], place, "o", color="white", markeredgecolor=LINE, markersize=7)
        if shares[1] is not None:
            right.plot(shares[1], place, "o", color=DOWN, markersize=4)
    left.set_yticks(range(len(shown)), [_label(row) for row in shown])
    left.set_ylim(len(shown) - 0.4, -0.6)
    left.set_xlim(0, 1.03)
    left.set_xlabel("linear CKA (1: alike)")
    right.set_xlim(left=0)
    right.set_xlabel("share of the variance of all heads")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
    handles = [
        left.plot([], [], "o", color=UP, markersize=5, label="another property, or none")[0],
        right.plot([], [], "o", color="white", markeredgecolor=LINE, markersize=7, label=short(first["a"], 40))[0],
        right.plot([], [], "o", color=DOWN, markersize=4, label=short(first["b"], 40))[0],
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _label(row: Row) -> str:
    heads = row["head"] or "none"
    if row["other"] != row["head"]:
        heads = f"{heads} → {row['other'] or 'none'}"
    before, after = (short(row[name] or "unnamed", 16) for name in ("property", "other_property"))
    if row["property"] is None and row["other_property"] is None:
        return heads
    return f"{heads}  {before}" if row["label"] == "kept" else f"{heads}  {before} → {after}"
