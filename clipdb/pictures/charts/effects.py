"""Direct against causal effects of heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, GREY, LINE, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

NAMED = 12
"""How many sets of heads are named: those of the largest effects."""


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw each set of heads at its direct and its causal effect, with the interval of the causal one.

    On the dashed line the two are the same. Below it, later layers make up for part of what the heads write.

    Parameters
    ----------
    rows
        Of the query `effects`.
    """
    tasks = list(dict.fromkeys(str(row["target"]) for row in rows))
    models = list(dict.fromkeys(str(row["model_id"]) for row in rows))
    images = sorted({int(row["images"]) for row in rows})
    counted = str(images[0]) if len(images) == 1 else f"{images[0]} to {images[-1]}"
    about = f"{short(', '.join(models), 60)}: {short(', '.join(tasks), 40)} of {counted} images"
    figure, (axes,) = new_figure(WIDTH, 6.0, f"Accuracy lost without {len(rows)} heads or sets of heads\n{about}")
    direct, causal = ([float(row[name]) for row in rows] for name in ("direct_drop", "causal_drop"))
    ends = [[max(0.0, row["causal_drop"] - row["causal_low"]) for row in rows]]
    ends.append([max(0.0, row["causal_high"] - row["causal_drop"]) for row in rows])
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(0, color=GREY, linewidth=0.8)
    span = [min(*direct, *causal, 0), max(*direct, *causal, 0)]
    axes.plot(span, span, "--", color=LINE, linewidth=1, label="direct = causal")
    axes.errorbar(
        direct,
        causal,
        yerr=ends,
        fmt="o",
        color=DOWN,
        ecolor=GREY,
        elinewidth=0.7,
        markersize=5,
        label="95 % interval of causal",
    )
    moving = [row for row in rows if row["direct_drop"] or row["causal_drop"]]  # names at 0, 0 would hide each other
    largest = sorted(moving, key=lambda row: -max(abs(row["direct_drop"]), abs(row["causal_drop"])))
    for row in largest[:NAMED]:
        name = f"{row['head']} {row['name']}" if row["name"] else str(row["head"])
        at = (row["direct_drop"], row["causal_drop"])
        axes.annotate(short(name), at, xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel("direct: accuracy lost with the heads' contributions")
    axes.set_ylabel("causal: accuracy lost by the model run without them")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return figure
