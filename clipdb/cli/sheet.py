"""A contact sheet: pictures in a grid, each with its caption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clipdb.errors import require

CELL = 160
CAPTION = 34
COLUMNS = 5
MARGIN = 8


def contact_sheet(title: str, pictures: Sequence[tuple[Path, str]], path: Path) -> None:
    """Draw pictures in reading order and save them.

    Parameters
    ----------
    title
        One line above the pictures.
    pictures
        Files, each with a caption of one or two lines.
    path
        PNG to write.

    Raises
    ------
    MissingExtra
        If pillow is not installed.
    """
    require("PIL", "plot")
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    font = ImageFont.load_default(13)
    rows = -(-len(pictures) // COLUMNS)
    step = CELL + MARGIN
    sheet = Image.new("RGB", (COLUMNS * step + MARGIN, 30 + rows * (step + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 8), title, fill="black", font=font)
    for place, (file, caption) in enumerate(pictures):
        x = MARGIN + place % COLUMNS * step
        y = 30 + place // COLUMNS * (step + CAPTION)
        with Image.open(file) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        # Small pictures are enlarged without smoothing: what the model saw is what is shown.
        smooth = Image.Resampling.LANCZOS if max(upright.size) > CELL else Image.Resampling.NEAREST
        fitted = ImageOps.contain(upright, (CELL, CELL), smooth)
        sheet.paste(fitted, (x + (CELL - fitted.width) // 2, y + (CELL - fitted.height) // 2))
        draw.multiline_text((x, y + CELL + 2), caption, fill="black", font=font, spacing=2)
    sheet.save(path, format="PNG")
