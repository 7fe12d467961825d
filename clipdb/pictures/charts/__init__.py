"""Charts of what queries answer: one module each, called as the query is whose rows it draws.

A module has a function ``draw(rows, asked)`` that returns a matplotlib figure. ``rows`` are the query's, by column, at
least one; ``asked`` are its parameters' values by name. Modules of other packages are found by their entry points
``clipdb.charts``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdb import plugins
from clipdb.errors import ClipdbError, require
from clipdb.pictures import PICTURES
from clipdb.schema.leftovers import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def charted() -> list[str]:
    """Name the queries that have a chart, as they are typed."""
    return sorted(plugins.modules("charts", __name__))


def make_chart(query: str, rows: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]) -> Figure:
    """Make the chart of a query that has one.

    Raises
    ------
    ClipdbError
        If there is nothing to draw.
    MissingExtra
        If matplotlib is not installed.
    """
    require("matplotlib", "plot")
    if not rows:
        raise ClipdbError("there are no rows to draw")
    figure: Figure = plugins.load("charts", __name__, query, "draw")(rows, asked)
    return figure


def save_chart(figure: Figure, path: Path) -> None:
    """Save a chart in the format of the path's suffix.

    Raises
    ------
    ClipdbError
        If the file can't be written.
    """
    with replacing(path) as building:
        figure.savefig(building, format=PICTURES[path.suffix.lower()].lower(), dpi=150)
