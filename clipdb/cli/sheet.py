"""A contact sheet: pictures in a grid, each with its caption."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdb.cli.output import replacing
from clipdb.errors import ClipdbError, require

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipdb.queries.index import Index
    from clipdb.queries.named import NamedQuery

CELL = 160
CAPTION = 34
COLUMNS = 5
MARGIN = 8
MOST = 200
"""Pictures on a sheet drawn by a query; a longer answer is cut, and the title says so."""

_LINE = 24  # characters across a cell


def draw_sheet(index: Index, query: NamedQuery, values: Mapping[str, Any], path: Path) -> None:
    """Draw what a query finds: the image asked for, if there is one, then the rows with their scores.

    Parameters
    ----------
    index
        An open index.
    query
        A query whose header has a line ``sheet:``.
    values
        Its parameters, bound.
    path
        PNG to write.

    Raises
    ------
    ClipdbError
        If the query fails or lacks the header's columns, or the file is no PNG or can't be written.
    MissingExtra
        If pillow is not installed.
    """
    require("PIL", "plot")
    assert query.sheet is not None  # the caller saw to it
    if path.suffix.lower() != ".png":
        raise ClipdbError(f"{path} is not a .png file: --sheet draws PNG")
    found = index.execute(query.sql, values)
    names = [column[0] for column in found.description or ()]
    if missing := [column for column in query.sheet if column not in names]:
        raise ClipdbError(f"{query.path}: `sheet:` names {missing[0]}, and the query has {', '.join(names)}")
    image, caption = (names.index(column) for column in query.sheet)
    rows = [(str(row[image]), row[caption]) for row in found.fetchall()]
    asked = str(values["image"]) if values.get("image") is not None else None
    uris = _uris(index, [one for one, _ in rows[:MOST]] + ([asked] if asked else []))
    pictures = [(_picture(asked, uris), "the image asked for")] if asked else []
    for place, (one, value) in enumerate(rows[:MOST], start=1):
        score = f"{value:.3f}" if isinstance(value, float) else str(value)
        name = uris.get(one, one).rpartition("/")[2]
        pictures.append((_picture(one, uris), f"{place}.  {score}\n{_end_of(name)}"))
    cut = f" (the first {MOST} of {len(rows)})" if len(rows) > MOST else ""
    contact_sheet(f"{query.title}{cut}: {_said(values)}", pictures, path)


def contact_sheet(title: str, pictures: Sequence[tuple[Image | str, str]], path: Path) -> None:
    """Draw pictures in reading order and save them.

    Parameters
    ----------
    title
        One line above the pictures; a long one is cut.
    pictures
        Each with a caption of one or two lines, fitted to its cell. Text in place of one says in a grey cell why it
        is not there.
    path
        PNG to write.

    Raises
    ------
    ClipdbError
        If the file can't be written.
    MissingExtra
        If pillow is not installed.
    """
    require("PIL", "plot")
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(13)
    rows = -(-len(pictures) // COLUMNS)
    step = CELL + MARGIN
    sheet = Image.new("RGB", (COLUMNS * step + MARGIN, 30 + rows * (step + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 8), textwrap.shorten(title, 120, placeholder=" ..."), fill="black", font=font)
    for place, (shown, caption) in enumerate(pictures):
        x = MARGIN + place % COLUMNS * step
        y = 30 + place // COLUMNS * (step + CAPTION)
        if isinstance(shown, str):
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill="lightgrey")
            draw.multiline_text((x + 6, y + 6), textwrap.fill(shown, _LINE - 3), fill="black", font=font, spacing=2)
        else:
            sheet.paste(shown, (x + (CELL - shown.width) // 2, y + (CELL - shown.height) // 2))
        draw.multiline_text((x, y + CELL + 2), caption, fill="black", font=font, spacing=2)
    with replacing(path) as building:
        sheet.save(building, format="PNG")


def _picture(image: str, uris: Mapping[str, str]) -> Image | str:
    """Read an image of the index, or a file, to fit a cell; or say why that can't be done."""
    from clipdb.ingest.decode import Undecodable, decode_whole
    from clipdb.ingest.sources.uri import read_known, read_uri

    try:
        return _fitted(decode_whole(read_known(image, uris[image]) if image in uris else read_uri(image)))
    except (ClipdbError, Undecodable):
        name = (uris.get(image) or image).rpartition("/")[2]
        return f"{name} is gone, has changed or can't be decoded"


def _fitted(picture: Image) -> Image:
    from PIL import Image, ImageOps

    # Small pictures are enlarged without smoothing: what the model saw is what is shown.
    smooth = Image.Resampling.LANCZOS if max(picture.size) > CELL else Image.Resampling.NEAREST
    return ImageOps.contain(picture, (CELL, CELL), smooth)


def _uris(index: Index, image_ids: Sequence[str]) -> dict[str, str]:
    found = index.execute(
        "select image_id, uri from images where list_contains($wanted, image_id)", {"wanted": list(image_ids)}
    )
    return {image: uri for image, uri in found.fetchall() if uri is not None}


def _end_of(name: str) -> str:
    return name if len(name) <= _LINE else f"...{name[3 - _LINE :]}"


def _said(values: Mapping[str, Any]) -> str:
    """Write what was asked, but for the image, which is shown."""
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None and name != "image")
