"""Metrics by layer, a line for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, GREY, LINE, UP, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_MODELS = 8
_COLOURS = (DOWN, UP, "#4c8c5a", "#8a63a8", "#b8892b", "#3f9aa6", GREY, LINE)
_METRICS = ("entanglement", "association", "explained by spans", "effective rank / head size")


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw entanglement, association, the variance that spans explain and the effective rank against the depth.

    Parameters
    ----------
    rows
        Of the query `layers`. Models with different numbers of layers share an axis by depth, one alone has its layers.
    """
    models: dict[str, list[Row]] = {}
    for row in rows:
        models.setdefault(row["model_id"], []).append(row)
    shown = dict(list(models.items())[:MOST_MODELS])
    cut = f"\nthe first {MOST_MODELS} of {len(models)} models" if len(models) > MOST_MODELS else ""
    one_depth = len({row["layers"] for row in rows}) == 1  # their layers can share an axis
    figure, panels = new_figure(WIDTH * 1.4, 3.6, f"Metrics by layer{cut}", panels=len(_METRICS))
    handles, known = [], set()
    for colour, (model, layers) in zip(_COLOURS, shown.items(), strict=False):
        places = [row["layer"] if one_depth else row["depth"] for row in layers]
        columns = zip(*(_figures(row) for row in layers), strict=True)
        for axes, metric, values in zip(panels, _METRICS, columns, strict=True):
            known |= {metric for value in values if value == value}
            (line,) = axes.plot(places, values, "o-", color=colour, markersize=4, linewidth=1.4, label=short(model, 40))
        handles.append(line)
    for axes, metric in zip(panels, _METRICS, strict=True):
        axes.set_title(metric, fontsize=9)
        axes.set_xlabel("layer" if one_depth else "depth, (layer + 1) / layers")
        axes.set_ylim(-0.03, 1.03)
        if metric not in known:
            axes.text(0.5, 0.5, "nothing here yet", transform=axes.transAxes, ha="center", fontsize=8, color=GREY)
        axes.grid(alpha=0.25)
        if one_depth:
            axes.set_xticks(sorted({row["layer"] for row in rows}))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _figures(row: Row) -> list[float]:
    rank = row["effective_rank"] / row["head_dim"] if row["effective_rank"] and row["head_dim"] else None
    values = (row["entanglement"], row["association"], row["explained"], rank)
    return [float("nan") if value is None else value for value in values]
