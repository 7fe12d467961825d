"""How much a fine-tune changed each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_HEADS = 40


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw the change of each head as a bar, the most changed on top.

    Parameters
    ----------
    rows
        Of the query `drift`.
    """
    shown = [row for row in rows if row["change"] is not None][:MOST_HEADS]
    cut = f"\nthe {MOST_HEADS} of {len(rows)} heads that changed most" if len(rows) > MOST_HEADS else ""
    figure, (axes,) = new_figure(
        WIDTH, 1.3 + 0.22 * len(shown), f"From {rows[0]['base']} to {rows[0]['model_id']}{cut}"
    )
    axes.barh(range(len(shown)), [row["change"] for row in shown], color=DOWN, height=0.7)
    axes.set_yticks(range(len(shown)), [f"{row['head']}  {short(row['property'] or 'unnamed', 24)}" for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("change (0: none, 1: nothing in common with what it wrote)")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    return figure
