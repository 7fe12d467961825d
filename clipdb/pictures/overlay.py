"""The picture of a segmentation: the original, and beside it where each share of the score comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipdb.errors import require
from clipdb.pictures import PICTURES
from clipdb.pictures.contact_sheet import LONGEST_RATIO, middle, wrapped
from clipdb.schema.leftovers import replacing

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    from clipdb.models.segmentation import Segmentation

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MARGIN = 16
LONGEST = 512  # side of a panel in pixels
WIDEST_BESIDE = 1.6  # wider pictures stand above their map
BAR = (240, 12)
FOR, AGAINST = (178.0, 24.0, 43.0), (33.0, 102.0, 172.0)  # ColorBrewer's RdBu: the colour-blind tell them apart
STRONGEST = 0.8  # how far the largest share covers the picture
LARGE, SMALL = 17, 13
INK, PALE = (30, 30, 30), (110, 110, 110)


def draw_overlay(found: Segmentation, title: str, lines: Sequence[str], path: Path, squares: bool = False) -> None:
    """Draw a segmentation and save it.

    Red patches speak for the text, blue ones against it; what the model never saw is dimmed.

    Parameters
    ----------
    found
        The segmentation.
    title, lines
        What stands above the pictures; long ones are wrapped.
    path
        Picture to write, in the format of its suffix.
    squares
        Show each patch as it is, not smoothed.

    Raises
    ------
    ClipdbError
        If the file can't be written.
    MissingExtra
        If pillow is not installed.
    """
    require("PIL", "plot")
    from PIL import Image, ImageDraw, ImageFont

    pictures, box = panels(found, squares), shown_box(found)
    original, most = pictures[0], largest(found)

    below = original.width > WIDEST_BESIDE * original.height
    across = original.width if below else 2 * original.width + MARGIN
    width = max(across, BAR[0] + 220) + 2 * MARGIN
    large, small = ImageFont.load_default(LARGE), ImageFont.load_default(SMALL)
    head = wrapped(title, large, width - 2 * MARGIN)
    if box != (0, 0, found.width, found.height):
        lines = [*lines, f"the middle of the picture, which is {found.width} x {found.height} pixels"]
    body = [part for line in lines for part in wrapped(line, small, width - 2 * MARGIN)]
    top = MARGIN + int(1.4 * (LARGE * len(head) + SMALL * len(body))) + 8
    bottom = top + original.height + (original.height + MARGIN if below else 0)
    sheet = Image.new("RGB", (width, bottom + MARGIN + BAR[1] + 24 + MARGIN // 2), "white")
    draw = ImageDraw.Draw(sheet)
    draw.multiline_text((MARGIN, MARGIN), "\n".join(head), fill=INK, font=large, spacing=4)
    y = MARGIN + int(1.4 * LARGE * len(head))
    draw.multiline_text((MARGIN, y), "\n".join(body), fill=PALE, font=small, spacing=4)
    step = (0, original.height + MARGIN) if below else (original.width + MARGIN, 0)
    left = (width - across) // 2
    for place, panel in enumerate(pictures):
        sheet.paste(panel, (left + place * step[0], top + place * step[1]))
    _legend(sheet, draw, most, small, (width - BAR[0]) // 2, bottom + MARGIN)
    with replacing(path) as building:
        sheet.save(building, format=PICTURES[path.suffix.lower()], quality=92, subsampling=0)


def panels(found: Segmentation, squares: bool = False) -> tuple[Image.Image, Image.Image]:
    """Draw the picture, and the picture in grey under its patches' shares, both of one size.

    Parameters
    ----------
    found
        The segmentation.
    squares
        Show each patch as it is, not smoothed.
    """
    from PIL import Image

    from clipdb.models.preprocess import decode_whole

    picture, box = decode_whole(found.data), shown_box(found)
    original = _fitted(picture.crop(box))
    heat, seen = heat_map(found, box, original.width, original.height, squares)
    plain = _dimmed(np.asarray(original, float), seen)
    grey = np.asarray(original.convert("L"), float)[..., None].repeat(3, axis=2)
    mapped = _dimmed(tint(255 - 0.7 * (255 - grey), heat / largest(found)), seen)
    one, other = (Image.fromarray(np.rint(panel).astype(np.uint8)) for panel in (plain, mapped))
    return one, other


def largest(found: Segmentation) -> float:
    """Return the largest share of a patch, either way, by which colours are scaled."""
    return float(np.abs(found.map).max()) or 1.0


def shown_box(found: Segmentation) -> tuple[int, int, int, int]:
    """Return the box of the picture that is drawn: the middle of a very long one, and all that the model saw."""
    left, top, right, bottom = middle(found.width, found.height)
    x0, y0, x1, y1 = found.covered
    return (
        max(0, min(left, int(x0))),
        max(0, min(top, int(y0))),
        min(found.width, max(right, math.ceil(x1))),
        min(found.height, max(bottom, math.ceil(y1))),
    )


def heat_map(
    found: Segmentation, box: tuple[int, int, int, int], width: int, height: int, squares: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Spread the patches' shares over a box of the picture, drawn at any size.

    Parameters
    ----------
    box
        Left, top, right and bottom in the upright picture's pixels.

    Returns
    -------
    heat, seen
        Shares ``[height, width]``, 0 where the model saw nothing, and whether it saw, boolean of the same shape.
    """
    left, top, right, bottom = found.covered
    rows, columns = found.grid
    x = (box[0] + (np.arange(width) + 0.5) * (box[2] - box[0]) / width - left) / (right - left) * columns
    y = (box[1] + (np.arange(height) + 0.5) * (box[3] - box[1]) / height - top) / (bottom - top) * rows
    across, down = _weights(x, columns, squares), _weights(y, rows, squares)
    return down @ found.map @ across.T, np.outer(down.any(axis=1), across.any(axis=1))


def tint(picture: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Colour pixels ``[height, width, 3]`` by shares from -1 to 1."""
    cover = STRONGEST * np.sqrt(np.abs(strength))[..., None]  # or one strong patch would hide all the others
    return picture * (1 - cover) + np.where(strength[..., None] > 0, FOR, AGAINST) * cover


def _weights(places: np.ndarray, count: int, squares: bool) -> np.ndarray:
    """Weigh the patches of a row for each pixel, ``[pixels, count]``; zero outside of what the model saw."""
    seen = (places >= 0) & (places < count)
    centres = np.floor(places) if squares else np.clip(places - 0.5, 0, count - 1)
    return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(count))) * seen[:, None]


def _dimmed(picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Wash out what the model never saw, and draw a line around what it saw."""
    dimmed = np.where(seen[..., None], picture, 220 - 0.3 * (255 - picture))
    if not seen.all():
        wide = np.pad(seen, 1)
        near = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        dimmed[near & ~seen] = PALE
    return dimmed


def _fitted(picture: Image.Image) -> Image.Image:
    from PIL import Image

    scale = LONGEST / max(picture.size)
    least = LONGEST // LONGEST_RATIO  # a longer picture that the model saw squashed is shown so
    size = (max(least, round(picture.width * scale)), max(least, round(picture.height * scale)))
    # Small pictures are enlarged without smoothing: what the model saw is what is shown.
    return picture.resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS)


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, most: float, font: Font, x: int, y: int) -> None:
    from PIL import Image

    bar = tint(np.full((BAR[1], BAR[0], 3), 255.0), np.linspace(-1, 1, BAR[0])[None].repeat(BAR[1], axis=0))
    sheet.paste(Image.fromarray(np.rint(bar).astype(np.uint8)), (x, y))
    for place, label in ((0.0, f"{-most:.2g}"), (0.5, "0"), (1.0, f"{most:+.2g}")):
        draw.text((x + place * BAR[0], y + BAR[1] + 3), label, fill=PALE, font=font, anchor="ma")
    draw.text((x - 8, y + BAR[1] / 2), "speaks against", fill=PALE, font=font, anchor="rm")
    draw.text((x + BAR[0] + 8, y + BAR[1] / 2), "speaks for it", fill=PALE, font=font, anchor="lm")
