"""What each part adds to a cosine, or to the difference of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb._util.text import counted
from clipdb.pictures.figures import DOWN, GREY, LINE, UP, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_BARS = 20


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw what each part adds to a score: the largest first, the small ones summed, then the rest and the total.

    Parameters
    ----------
    rows
        Of the query `contributions`: ``part``, ``property``, ``heads``, ``share``. The last may be the rest, which has
        no heads.
    asked
        ``text``, and ``text_b`` where the shares are of a difference.
    """
    return draw_shares(rows, _heading(asked), _sides(asked))


def draw_shares(rows: Sequence[Row], heading: str, sides: str) -> Figure:
    """Draw shares as bars under a heading; ``sides`` says what those right and left of 0 mean."""
    parts = sorted((row for row in rows if row["heads"]), key=lambda row: -abs(row["share"]))
    shown, others = parts[:MOST_BARS], parts[MOST_BARS:]
    grouped = any(row["heads"] > 1 for row in parts)  # else each part is a head, and goes without a count
    bars = [(_label(row, grouped), row["share"], 1.0) for row in shown]
    if others:
        bars.append((f"{sum(row['heads'] for row in others)} other heads", sum(row["share"] for row in others), 0.45))
    bars += [(row["part"], row["share"], 0.45) for row in rows if not row["heads"]]
    total = sum(row["share"] for row in rows)
    figure, (axes,) = new_figure(WIDTH, 1.6 + 0.27 * (len(bars) + 2), heading)
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
    axes.set_xlabel(sides)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.spines["left"].set_visible(False)
    return figure


def _heading(asked: Mapping[str, Any]) -> str:
    return "Shares of the cosine" if asked["text_b"] is None else "Shares of the difference of two cosines"


def _sides(asked: Mapping[str, Any]) -> str:
    text, text_b = (short(str(asked[name])) for name in ("text", "text_b"))
    if asked["text_b"] is None:
        return f"share of the cosine: right of 0 for “{text}”, left of 0 against it"
    return f"share of the difference: right of 0 for “{text}”, left of 0 for “{text_b}”"


def _label(row: Row, grouped: bool) -> str:
    name = str(row["part"])
    if row["property"] is not None and row["property"] != name:
        name = f"{name}  {short(str(row['property']))}"
    return f"{short(name)} ({counted(row['heads'], 'head')})" if grouped else name
