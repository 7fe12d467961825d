"""The chart of the scoreboard: entanglement and association, each with what chance gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.figures import GREY, LINE, WIDTH, new_figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

MOST_SOURCES = 40
_JUDGES = ("#2f6fad", "#c8553d", "#4c8c5a", "#8a63a8", "#b8892b", "#3f9aa6")


def draw(rows: Sequence[Row], asked: Mapping[str, Any]) -> Figure:
    """Draw entanglement and association side by side for models, sources of names and judges.

    A grey band behind each is where 95 % of random namings lie; association has its interval. Where nobody judged
    anything, entanglement has the chart to itself.

    Parameters
    ----------
    rows
        Of the query `scoreboard`.
    """
    sources: dict[tuple[str, str, str | None], list[Row]] = {}
    for row in rows:
        sources.setdefault((row["model_id"], row["labeller"], row["pool"]), []).append(row)
    shown = list(sources.items())[:MOST_SOURCES]
    cut = f"\nthe first {MOST_SOURCES} of {len(sources)} sources of names" if len(sources) > MOST_SOURCES else ""
    bars = sum(len(judged) for _, judged in shown)
    models = list(dict.fromkeys(model for (model, _, _), _ in shown))
    height = 2.0 + 0.16 * bars + 0.14 * len(shown) + 0.3 * len(models)
    judges = sorted({row["judge"] for _, judged in shown for row in judged if row["judge"] is not None})
    others = [judge for judge in judges if judge != "vote"]
    colours = {judge: GREY for judge in judges} | {
        judge: _JUDGES[place % len(_JUDGES)] for place, judge in enumerate(others)
    }
    fit = ", and how well their spans fit" if judges else " (nobody has judged the names yet)"
    heading = f"How much heads share properties{fit}{cut}"
    figure, panels = new_figure(WIDTH * 1.25, height, heading, panels=2 if judges else 1)
    left, right = panels[0], panels[-1]
    several_pools = len({pool for _, _, pool in sources if pool is not None}) > 1
    labels: list[tuple[float, str, str]] = []
    place, last = 0.0, None
    for (model, labeller, pool), judged in shown:
        if model != last:
            labels.append((place + 0.6, short(model, 34), "bold"))
            place, last = place + 1.9, model
        name = f"{labeller} ({pool})" if several_pools and pool else labeller
        middle = place + (len(judged) - 1) / 2
        labels.append((middle, short(name, 34), "normal"))
        _figure(left, middle, judged[0], ("e_chance_low", "e_chance_high"), ("entanglement", None, None), LINE)
        for row in judged:
            if judges:
                shown_as = ("association", "a_low", "a_high")
                chance = ("a_chance_low", "a_chance_high")
                _figure(right, place, row, chance, shown_as, colours.get(row["judge"], GREY))
            _beside(right, place, f"{row['judged']} of {row['labelled']}" if judges else str(row["labelled"]))
            place += 1
        place += 0.9
    _beside(right, 0.6, "judged heads" if judges else "named heads")
    for axes in panels:
        axes.set_xlim(-0.03, 1.03)
        axes.grid(axis="x", alpha=0.25)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    left.set_ylim(place, -0.4)
    left.set_yticks([at for at, _, _ in labels], [name for _, name, _ in labels])
    for text, (_, _, weight) in zip(left.get_yticklabels(), labels, strict=True):
        text.set_fontweight(weight)
    left.set_xlabel("entanglement (lower is better)")
    if judges:
        right.set_xlabel("association (higher is better)")
    top = left.secondary_xaxis("top", functions=(_rest, _rest))
    top.set_xlabel("exclusive", fontsize=9)
    top.tick_params(labelsize=8)
    handles = [right.plot([], [], "o-", color=colours[one], markersize=5, label=one)[0] for one in judges]
    if any(row[name] is not None for _, judged in shown for row in judged for name in ("e_chance", "a_chance")):
        handles += right.plot([], [], color=GREY, alpha=0.35, linewidth=6, label="95 % of random namings")
    if any(row["note"] is not None for _, judged in shown for row in judged):
        hollow = right.plot([], [], "o", color=GREY, markerfacecolor="white", markersize=5, label="not independent")
        handles += hollow
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def _figure(
    axes: Axes,
    place: float,
    row: Row,
    chance: tuple[str, str],
    columns: tuple[str, str | None, str | None],
    colour: str,
) -> None:
    """Draw a share over the band of chance, with any interval; hollow where the judge isn't independent."""
    share, low, high = (row[name] if name else None for name in columns)
    if share is None:
        nothing = "not judged" if row["judge"] is None else f"too few verdicts of {row['judge']}"
        axes.text(0, place, short(nothing, 50), va="center", fontsize=7, color=GREY)
        return
    if row[chance[0]] is not None:
        ends = [row[name] for name in chance]
        axes.plot(ends, [place, place], color=GREY, alpha=0.35, linewidth=6, solid_capstyle="butt", zorder=2)
    hollow = columns[0] == "association" and row["note"] is not None
    if low is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=3)
    axes.plot(share, place, "o", color=colour, markerfacecolor="white" if hollow else colour, markersize=5, zorder=4)


def _rest(share: Any) -> Any:
    return 1 - share


def _beside(axes: Axes, place: float, text: str) -> None:
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7, color=GREY)
