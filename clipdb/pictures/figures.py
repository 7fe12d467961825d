"""What all charts share: their colours, their figure, and labels that are cut."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Red speaks for and blue against, as in the overlays of `clipdb segment`.
UP, DOWN, GREY, LINE = "#c8553d", "#2f6fad", "#8a8f98", "#333333"
WIDTH = 8.0  # inches
_WRAP = 78  # characters of a title's line


def new_figure(width: float, height: float, title: str, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Make a figure without pyplot, which would look for a screen and keep it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    entitle(figure, title)
    beside = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    for axes in beside:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
        axes.set_axisbelow(True)
    return figure, beside


def entitle(figure: Figure, title: str) -> None:
    """Write a title in place of one of a single line, and make room for more lines."""
    lines = [part for line in title.splitlines() for part in textwrap.wrap(line, _WRAP) or [""]]
    figure.set_figheight(figure.get_figheight() + 0.2 * (len(lines) - 1))
    figure.suptitle("\n".join(line.replace("$", r"\$") for line in lines), fontsize=11)  # a $ would start a formula


def short(text: str, most: int = 28) -> str:
    """Cut a label to so many letters, and keep its dollars from starting a formula."""
    text = text.replace("$", r"\$")
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
