"""Zero-shot accuracy by the number of spans that stand for heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, GREY, UP, WIDTH, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw accuracy against the number of spans that stand for the heads.

    Parameters
    ----------
    rows
        Of the query `reconstruct`.
    """
    from matplotlib.ticker import MaxNLocator

    last = rows[-1]
    figure, (axes,) = new_figure(
        WIDTH, 4.6, f"Accuracy with {last['replaced']} heads replaced by their spans ({last['note']})"
    )
    m = [row["spans"] for row in rows]
    # Curves and lines often meet: the first is wider than the second, and their dashes take turns.
    for column, whole, colour, name, width, dashes in (
        ("accuracy", "whole", UP, "all images", 3, (0, (5, 5))),
        ("worst", "whole_worst", DOWN, "worst group", 1.5, (5, (5, 5))),
    ):
        axes.plot(
            m, [row[column] for row in rows], "o-", color=colour, linewidth=width, ms=2 + width, label=f"{name}, spans"
        )
        axes.axhline(last[whole], color=colour, linewidth=1.2, linestyle=dashes, label=f"{name}, whole heads")
    if all(row["variance"] is not None for row in rows):
        axes.plot(m, [row["variance"] for row in rows], color=GREY, label="variance explained")
    axes.set_xlabel("spans of each head (0: its mean)")
    axes.set_ylabel("zero-shot accuracy, share of variance")
    axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure
