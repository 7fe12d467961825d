"""Charts of what queries answer: shares of a score, ablation, completeness, the scoreboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdb.errors import ClipdbError, require
from clipdb.pictures import PICTURES
from clipdb.pictures.figures import DOWN, GREY, LINE, UP, WIDTH, new_figure, short
from clipdb.pictures.scoreboard_chart import scoreboard
from clipdb.schema.leftovers import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_BARS = 20
MOST_CLASSES = 30
_ACCURACIES = ("before", "after", "control_low")


def draw(chart: str, rows: Sequence[Row], path: Path, title: str = "") -> None:
    """Draw rows as a chart and save it.

    Parameters
    ----------
    chart
        What a query's header calls it: ``shares``, ``ablation``, ``completeness`` or ``scoreboard``.
    rows
        Values by column.
    path
        Picture to write, in the format of its suffix.
    title
        Above the chart, in place of its own.

    Raises
    ------
    ClipdbError
        If there is no such chart or nothing to draw, or the file can't be written.
    MissingExtra
        If matplotlib is not installed.
    """
    require("matplotlib", "plot")
    if chart not in CHARTS:
        raise ClipdbError(f"`plot: {chart}` is not one of {', '.join(CHARTS)}")
    if not rows:
        raise ClipdbError("there are no rows to draw")
    figure = CHARTS[chart](rows, title)
    with replacing(path) as building:
        figure.savefig(building, format=PICTURES[path.suffix.lower()].lower(), dpi=150)


def shares(rows: Sequence[Row], title: str) -> Figure:
    """Draw what each part adds to a score: the largest first, the small ones summed, then the rest and the total.

    Parameters
    ----------
    rows
        Of the query `contributions`: ``part``, ``property``, ``heads``, ``share``. The last may be the rest, which has
        no heads.
    """
    parts = sorted((row for row in rows if row["heads"]), key=lambda row: -abs(row["share"]))
    shown, others = parts[:MOST_BARS], parts[MOST_BARS:]
    bars = [(_part_label(row), row["share"], 1.0) for row in shown]
    if others:
        bars.append((f"{sum(row['heads'] for row in others)} other heads", sum(row["share"] for row in others), 0.45))
    bars += [(row["part"], row["share"], 0.45) for row in rows if not row["heads"]]
    total = sum(row["share"] for row in rows)
    figure, (axes,) = new_figure(WIDTH, 1.6 + 0.27 * (len(bars) + 2), title or "Shares of the cosine")
    places = [*range(len(bars)), len(bars) + 0.5]
    values = [*(value for _, value, _ in bars), total]
    axes.barh(
        places,
        values,
        color=[*(UP if value > 0 else DOWN for _, value, _ in bars), LINE],
        height=0.72,
    )
    for bar, (_, _, opacity) in zip(axes.patches, bars, strict=False):
        bar.set_alpha(opacity)
    axes.axhline(len(bars) - 0.25, color=GREY, linewidth=0.6)
    axes.axvline(0, color=LINE, linewidth=0.8)
    axes.set_yticks(places, [*(label for label, _, _ in bars), "total"])
    axes.get_yticklabels()[-1].set_fontweight("bold")
    axes.set_ylim(places[-1] + 0.6, -0.6)  # the first on top
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.14 * ((high - low) or 1.0)
    axes.set_xlim(low - (room if low < 0 else room / 4), high + (room if high > 0 else room / 4))
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:+.4f}".replace("-", "\N{MINUS SIGN}"),
            (value, place),
            xytext=(4 if value >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if value >= 0 else "right",
            va="center",
            fontsize=8,
        )
    axes.set_xlabel("share of the cosine")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.spines["left"].set_visible(False)
    return figure


def ablation(rows: Sequence[Row], title: str) -> Figure:
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
    heading = title or f"Accuracy after {first['removed']} heads' contributions are taken off ({first['note']}){cut}"
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
    labels = [_ablation_label(row) for row in shown]
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


def completeness(rows: Sequence[Row], title: str) -> Figure:
    """Draw accuracy against the number of spans that stand for the heads.

    Parameters
    ----------
    rows
        Of the query `reconstruct`.
    """
    from matplotlib.ticker import MaxNLocator

    last = rows[-1]
    figure, (axes,) = new_figure(
        WIDTH, 4.6, title or f"Accuracy with {last['replaced']} heads replaced by their spans ({last['note']})"
    )
    m = [row["spans"] for row in rows]
    for column, whole, colour, name in (
        ("accuracy", "whole", UP, "all images"),
        ("worst", "whole_worst", DOWN, "worst group"),
    ):
        axes.plot(m, [row[column] for row in rows], "o-", color=colour, markersize=4, label=f"{name}, spans")
        axes.axhline(last[whole], color=colour, linewidth=1, linestyle="--", label=f"{name}, whole heads")
    if all(row["variance"] is not None for row in rows):
        axes.plot(m, [row["variance"] for row in rows], color=GREY, label="variance explained")
    axes.set_xlabel("spans of each head (0: its mean)")
    axes.set_ylabel("zero-shot accuracy, share of variance")
    axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


CHARTS: dict[str, Callable[[Sequence[Row], str], Figure]] = {
    "shares": shares,
    "ablation": ablation,
    "completeness": completeness,
    "scoreboard": scoreboard,
}


def _part_label(row: Row) -> str:
    name = str(row["part"])
    if row["property"] is not None and row["property"] != name:
        name = f"{name}  {short(str(row['property']))}"
    return f"{short(name)} ({row['heads']} heads)" if row["heads"] > 1 else name


def _ablation_label(row: Row) -> str:
    if row["part"] == "all":
        return f"all images ({row['images']})"
    name = f"{short(str(row['name']), 30)} ({row['images']})"
    return f"worst: {name}" if row["part"] == "worst group" else name
