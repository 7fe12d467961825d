"""What each part of an image adds to its cosine with another image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipdb.pictures.charts.contributions import Row, draw_shares

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(rows: Sequence[Row], _asked: Mapping[str, Any]) -> Figure:
    """Draw ``share`` of the query `image-contributions`: the first image's heads, along the other's embedding."""
    return draw_shares(
        [row for row in rows if row["share"] is not None],
        "Shares of the cosine of two images, of the first one's heads",
        "share of the cosine, of the first image's heads: right of 0 for, left of 0 against",
    )
