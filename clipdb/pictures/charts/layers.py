"""Metrics by layer, a line for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import DOWN, GREY, LINE, UP, WIDTH, new_figure, short
from clipdb.schema.names import POOL, layer_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_MODELS = 8
_COLOURS = (DOWN, UP, "#4c8c5a", "#8a63a8", "#b8892b", "#3f9aa6", GREY, LINE)
_METRICS = {
    "entanglement over chance": "e_excess",
    "association over chance": "a_excess",
    "explained by spans": "explained",
    "effective rank / size": "relative_rank",
    "share of variance": "variance",
}
"""The panels, each with its column."""


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw entanglement and association over chance, what spans explain, effective rank and variance against the depth.

    Parameters
    ----------
    rows
        Of the query `layers`. Models with different numbers of layers share an axis by depth, one alone has its layers.
        The heads of an attention pooling stand behind the last layer.
    """
    models: dict[str, list[Row]] = {}
    for row in rows:
        models.setdefault(row["model_id"], []).append(row)
    shown = dict(list(models.items())[:MOST_MODELS])
    cut = f"\nthe first {MOST_MODELS} of {len(models)} models" if len(models) > MOST_MODELS else ""
    one_depth = len({row["layers"] for row in rows}) == 1  # their layers can share an axis
    figure, panels = new_figure(WIDTH * 1.7, 3.6, f"Metrics by layer{cut}", panels=len(_METRICS))
    handles, known, lowest = [], set(), 0.0
    for colour, (model, layers) in zip(_COLOURS, shown.items(), strict=False):
        trunk, pooling = ([row for row in layers if (row["layer"] == POOL) == pool] for pool in (False, True))
        style: dict[str, Any] = {"color": colour, "markersize": 4, "linewidth": 1.4, "label": short(model, 40)}
        for marker, part in (("o-", trunk), ("D", pooling)):
            places = [_place(row, one_depth) for row in part]
            figures = zip(*(_figures(row) for row in part), strict=True)
            for axes, metric, values in zip(panels, _METRICS, figures, strict=False):  # of no rows there are none
                known |= {metric for value in values if value == value}
                lowest = min(lowest, *(value for value in values if value == value), 0.0)
                (line,) = axes.plot(places, values, marker, **style)
        handles.append(line)
    for axes, metric in zip(panels, _METRICS, strict=True):
        axes.set_title(metric, fontsize=9)
        axes.set_xlabel("layer" if one_depth else "depth, (layer + 1) / layers")
        axes.set_ylim(lowest - 0.03, 1.03)
        if metric not in known:
            axes.text(0.5, 0.5, "nothing here yet", transform=axes.transAxes, ha="center", fontsize=8, color=GREY)
        axes.grid(alpha=0.25)
        if one_depth:
            ticks = {_place(row, one_depth): layer_name(row["layer"]) for row in rows}
            axes.set_xticks(list(ticks), list(ticks.values()))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _place(row: Row, one_depth: bool) -> float:
    """Return where a layer stands on the axis."""
    if row["layer"] == POOL:
        return float(row["layers"]) if one_depth else 1.1
    return float(row["layer"] if one_depth else row["depth"])


def _figures(row: Row) -> list[float]:
    return [float("nan") if row[column] is None else row[column] for column in _METRICS.values()]
