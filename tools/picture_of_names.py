"""Make README's picture of which names of heads hold: `python tools/picture_of_names.py INDEX MODEL FILE`.

INDEX is the ``names.clipdb`` of `clipdb demo`. The picture is the table that `clipdb query tested-names` prints.
"""

from __future__ import annotations

import argparse
from collections import Counter
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

import clipdb

_DPI = 160
_ROW = 0.215  # inches
_COLUMNS = (
    ("head", 0.012, "left"),
    ("name", 0.10, "left"),
    ("labeller", 0.235, "left"),
    ("direct", 0.43, "right"),
    ("causal", 0.53, "right"),
    ("follows", 0.575, "left"),
    ("specificity", 0.86, "right"),
    ("holds", 0.90, "left"),
)
_SHADES = {"yes": "#e3f3e6", "no": "#fbe0dd", "unclear": "#fdf3d7"}
_INKS = {"yes": "#17652b", "no": "#a11d12", "unclear": "#7a5a00"}


def draw(rows: list[dict[str, object]], file: Path) -> None:
    """Draw the table of a model's heads, in order, as a WebP."""
    height = _ROW * (len(rows) + 1.6)
    figure = Figure(figsize=(6.6, height), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(len(rows) + 1.3, -0.3))
    axes.axis("off")
    for title, x, side in _COLUMNS:
        axes.text(x, 0.35, title, ha=side, va="center", fontsize=9, fontweight="bold", color="#222222")
    axes.axhline(0.85, color="#222222", linewidth=0.8)
    for place, row in enumerate(rows):
        holds = str(row["holds"] or "no name")
        axes.axhspan(place + 0.9, place + 1.9, color=_SHADES.get(holds, "white"), linewidth=0)
        cells = (row["head"], row["name"], row["labeller"], row["direct"], row["causal"], row["follows"])
        for (_, x, side), value in zip(_COLUMNS, (*cells, row["specificity"], holds), strict=True):
            said = f"{value + 0.0:.2f}" if isinstance(value, float) else "" if value is None else str(value)
            ink, weight = (_INKS.get(holds, "#555555"), "bold") if value is holds else ("black", "normal")
            axes.text(x, place + 1.4, said, ha=side, va="center", fontsize=9, color=ink, fontweight=weight)
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").save(file, "WEBP", quality=90, method=6)


def main() -> None:
    """Read the arguments, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    with clipdb.open(given.index) as db:
        found = db.query.tested_names(model=given.model)
        columns = [column[0] for column in found.description]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    draw(rows, given.file)
    print(f"{given.file}: {given.file.stat().st_size / 1000:.0f} kB, {dict(Counter(row['holds'] for row in rows))}")


if __name__ == "__main__":
    main()
