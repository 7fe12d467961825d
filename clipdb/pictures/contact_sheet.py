"""Pictures in a grid, each with its caption, under headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.errors import require
from clipdb.pictures import PICTURES
from clipdb.schema.leftovers import replacing

if TYPE_CHECKING:
    from PIL import ImageFont
    from PIL.Image import Image

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SIZE = 160
"""Side of a cell, in pixels."""
COLUMNS = 5
MARGIN = 8
CAPTION = 36
TITLE, HEADING = 48, 26
"""Heights of the two lines above a sheet, and of a block's heading."""
LONGEST_RATIO = 4
"""Of pictures whose sides differ by more, the middle is shown, to which most models cut them."""

_LARGE, _SMALL, _LINE = 15, 13, 16
_PALE = (110, 110, 110)


@dataclass(frozen=True)
class Cell:
    """A picture with up to two lines below it; text in place of a picture says why it is not there."""

    picture: Image | str
    caption: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Cells that belong together, with a heading unless it is empty."""

    heading: str
    cells: Sequence[Cell]


def draw_contact_sheet(
    title: tuple[str, str], blocks: Sequence[Block], path: Path, size: int = SIZE, columns: int = COLUMNS
) -> None:
    """Draw blocks of pictures, one below the other, and save them.

    Parameters
    ----------
    title
        What stands above the pictures: a line, which is cut where it is too wide, and a text, which is wrapped.
    blocks
        Their pictures fit into ``size`` pixels. Captions are cut to the width of a cell, those of files at their
        beginning.
    path
        Picture to write, in the format of its suffix.
    size
        Side of a cell, in pixels.
    columns
        Cells side by side.

    Raises
    ------
    ClipdbError
        If the file can't be written.
    MissingExtra
        If pillow is not installed.
    """
    require("PIL", "plot")
    from PIL import Image, ImageDraw, ImageFont

    large, small = ImageFont.load_default(_LARGE), ImageFont.load_default(_SMALL)
    across, down = size + MARGIN, size + CAPTION + MARGIN
    width = columns * across + MARGIN
    heights = [(HEADING if block.heading else 0) + -(-len(block.cells) // columns) * down for block in blocks]
    subtitle = wrapped(title[1], small, width - 2 * MARGIN)
    top = TITLE + _LINE * (len(subtitle) - 1)
    sheet = Image.new("RGB", (width, top + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 7), cut(title[0], large, width - 2 * MARGIN), fill="black", font=large)
    for number, line in enumerate(subtitle):
        draw.text((MARGIN, 27 + _LINE * number), line, fill=_PALE, font=small)
    for block, height in zip(blocks, heights, strict=True):
        first = top
        if block.heading:
            draw.text((MARGIN, top + 2), cut(block.heading, large, width - 2 * MARGIN), fill="black", font=large)
            first += HEADING
        for place, cell in enumerate(block.cells):
            x, y = MARGIN + place % columns * across, first + place // columns * down
            if isinstance(cell.picture, str):
                draw.rectangle((x, y, x + size - 1, y + size - 1), fill="lightgrey")
                said = "\n".join(wrapped(cell.picture, small, size - 12)[: (size - 12) // (_SMALL + 4)])
                draw.multiline_text((x + 6, y + 6), said, fill="black", font=small, spacing=2)
            else:
                sheet.paste(cell.picture, (x + (size - cell.picture.width) // 2, y + (size - cell.picture.height) // 2))
            for number, line in enumerate(cell.caption):
                draw.text((x, y + size + 2 + _LINE * number), cut(line, small, size), fill="black", font=small)
        top += height
    with replacing(path) as building:
        sheet.save(building, format=PICTURES[path.suffix.lower()], quality=92, subsampling=0)


def middle(width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box of a picture's middle, no longer than `LONGEST_RATIO` allows: left, top, right, bottom."""
    longest = LONGEST_RATIO * min(width, height)
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return left, top, left + min(width, longest), top + min(height, longest)


def cut(text: str, font: Font, width: int) -> str:
    """Cut what is drawn wider than ``width`` pixels: a single word, as a file's name, at its beginning."""
    if font.getlength(text) <= width:
        return text
    keeps_end = " " not in text
    while text and font.getlength(f"{text}…") > width:
        text = text[1:] if keeps_end else text[:-1]
    return f"…{text}" if keeps_end else f"{text.rstrip()}…"


def wrapped(text: str, font: Font, width: int) -> list[str]:
    """Break a text between words where a line would be wider than ``width`` pixels; longer words are cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [cut(line, font, width) for line in lines]
