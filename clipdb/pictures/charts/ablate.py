"""Zero-shot accuracy before and after heads are taken off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, GREY, LINE, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_CLASSES = 30
_ACCURACIES = ("before", "after", "control_low")


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw accuracy before and after, and the range of the random sets, for each part.

    Parameters
    ----------
    rows
        Of the query `ablate`.
    """
    classes = [row for row in rows if row["part"] in ("class", "group")]
    classes = sorted(classes, key=lambda row: row["after"] - row["before"])[:MOST_CLASSES]
    ends = [row for row in rows if row["part"] not in ("class", "group")]
    shown = [*ends, *classes]
    first = rows[0]
    cut = f"\nthe {MOST_CLASSES} classes and groups that lose most" if len(rows) - len(ends) > MOST_CLASSES else ""
    heading = f"Accuracy after {first['removed']} heads' contributions are taken off ({first['note']}){cut}"
    figure, (axes,) = new_figure(WIDTH, 1.9 + 0.27 * len(shown), heading)
    places = [place + (0.5 if place >= len(ends) else 0) for place in range(len(shown))]
    for place, row in zip(places, shown, strict=True):
        if row["control"] is not None:
            width = row["control_high"] - row["control_low"]
            axes.barh(place, width, left=row["control_low"], height=0.5, color=GREY, alpha=0.35)
            axes.plot(row["control"], place, "|", color=GREY, markersize=9, markeredgewidth=2)
        axes.plot([row["before"], row["after"]], [place, place], color=DOWN, linewidth=1.2, zorder=3)
        axes.plot(row["before"], place, "o", color="white", markeredgecolor=LINE, markersize=8, zorder=4)
        axes.plot(row["after"], place, "o", color=DOWN, markersize=5, zorder=5)
    labels = [_label(row) for row in shown]
    axes.set_yticks(places, labels)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    values = [row[column] for row in shown for column in _ACCURACIES if row[column] is not None]
    axes.set_xlim(max(-0.02, min(values) - 0.05), 1.02)
    axes.set_xlabel("zero-shot accuracy")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    handles = [
        axes.plot([], [], "o", color="white", markeredgecolor=LINE, markersize=8, label="before")[0],
        axes.plot([], [], "o", color=DOWN, markersize=5, label="after")[0],
    ]
    if first["control"] is not None:
        handles += axes.plot([], [], color=GREY, linewidth=7, alpha=0.35, label="random sets: lowest to highest, mean")
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _label(row: Row) -> str:
    if row["part"] == "all":
        return f"all images ({row['images']})"
    name = f"{short(str(row['name']), 30)} ({row['images']})"
    return f"worst: {name}" if row["part"] == "worst group" else name
