"""The contact sheet of a query: the images that it finds, with their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdb._util.text import counted, printable
from clipdb.errors import ClipdbError, require
from clipdb.pictures.contact_sheet import COLUMNS, SIZE, Block, Cell, draw_contact_sheet, middle
from clipdb.schema.names import parse_head

if TYPE_CHECKING:
    from PIL.Image import Image

    from clipdb.queries.index import Index
    from clipdb.queries.named.sql_files import NamedQuery

MOST = 200
"""Pictures on a sheet drawn by a query; a longer answer is cut, and the title says so."""

_NOT_SAID = ("image", "k", "model")
"""Parameters that a sheet shows, or whose value every other sheet of the index has."""


def draw_sheet(
    index: Index,
    query: NamedQuery,
    values: Mapping[str, Any],
    path: Path,
    size: int = SIZE,
    columns: int = COLUMNS,
) -> str | None:
    """Draw what a query finds: the image asked for, if there is one, then the rows with their scores.

    What can't be shown is a grey cell. An export's thumbnails stand in for files that are gone.

    Parameters
    ----------
    index
        An open index.
    query
        A query whose header has a line ``sheet:``.
    values
        Its parameters, bound.
    path
        Picture to write.
    size, columns
        Side of a cell in pixels, and cells side by side.

    Returns
    -------
    str or None
        How many pictures can't be shown, in a sentence, if any.

    Raises
    ------
    ClipdbError
        If the query fails or lacks the header's columns, or the file can't be written.
    MissingExtra
        If pillow is not installed.
    """
    require("PIL", "plot")
    assert query.sheet is not None  # the caller saw to it
    found = index.execute(*query.statement(values))
    names = [column[0] for column in found.description or ()]
    if missing := [column for column in query.sheet if column not in names]:
        raise ClipdbError(f"{query.path}: `sheet:` names {missing[0]}, and the query has {', '.join(names)}")
    rows = [tuple(row[names.index(column)] for column in query.sheet) for row in found.fetchall()]
    asked = str(values["image"]) if values.get("image") is not None else None
    images = ([asked] if asked else []) + [str(row[0]) for row in rows[:MOST]]
    uris = _uris(index, images)
    pictures = _pictures(index, images, uris, size)
    blocks = []
    for heading, group in groupby(rows[:MOST], key=lambda row: str(row[2]) if len(row) > 2 else ""):
        cells = [
            Cell(pictures[str(row[0])], (f"{place}.  {_score(row[1])}", _name(str(row[0]), uris)))
            for place, row in enumerate(group, start=1)
        ]
        blocks.append(Block(heading, cells))
    if asked:
        first = Cell(pictures[asked], ("the image asked for", _name(asked, uris)))
        blocks[:1] = [Block(one.heading, [first, *one.cells]) for one in blocks[:1]] or [Block("", [first])]
    shown = f" (the first {MOST} of {len(rows)})" if len(rows) > MOST else ""
    question = _question(index, query, values)
    about = f"{query.title}{shown}, each with its {query.sheet[1].replace('_', ' ')}"
    title = (question, about) if question else (about, "")
    draw_contact_sheet(title, blocks, path, size, columns)
    gone = [one for one in pictures if isinstance(pictures[one], str)]
    if not gone:
        return None
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    which = uris.get(gone[0], gone[0])
    verb = "is" if len(gone) == 1 else "are"
    return (
        f"{len(gone)} of {counted(len(pictures), 'picture')} can't be found: {which}{more} "
        f"{verb} gone, changed or not readable; where images were moved, "
        "`clipdb ingest images NEWFOLDER --model MODEL` writes down their new paths"
    )


def _question(index: Index, query: NamedQuery, values: Mapping[str, Any]) -> str:
    """Return what was asked, but for what is as in any other question: ``L11.H3 · a striped animal``."""
    said = []
    for parameter in sorted(query.parameters, key=lambda parameter: parameter.type != "head"):
        name, value = parameter.name, values[parameter.name]
        if value is None or value == parameter.default or name in _NOT_SAID:
            continue
        if name == "span":
            spans = "select text from head_spans where (model_id, layer, head, rank) = (?, ?, ?, ?)"
            which = [values["model"], *parse_head(values["head"]), value]
            value = index.ask(spans, which).fetchall()[0][0]
        plainly = name in ("head", "text", "property", "span")
        said.append(printable(str(value) if plainly else f"{name.replace('_', ' ')} {value}"))
    if len(index.ask("select model_id from models limit 2").fetchall()) > 1:
        said.append(str(values["model"]))
    return " · ".join(said)


def _pictures(index: Index, images: Sequence[str], uris: Mapping[str, str], size: int) -> dict[str, Image | str]:
    """Read images to fit a cell: of the index, or files; or say why that can't be done."""
    from clipdb.ingest.images.sources.uri import read_known, read_uri
    from clipdb.models.preprocess import Undecodable, decode_whole

    def picture(image: str) -> Image | None:
        try:
            data = read_known(image, uris[image]) if image in uris else read_uri(image)
            return _fitted(decode_whole(data), size)
        except (ClipdbError, Undecodable):
            return None

    found: dict[str, Image | str] = {image: picture(image) or "" for image in dict.fromkeys(images)}
    gone = [image for image, one in found.items() if isinstance(one, str)]
    small = index.thumbnails(gone)
    for image in gone:
        found[image] = f"{_name(image, uris)} is gone, has changed or can't be read"
        try:
            if image in small:
                found[image] = _fitted(decode_whole(small[image]), size)
        except Undecodable:
            continue
    return found


def _fitted(picture: Image, size: int) -> Image:
    from PIL import Image, ImageOps

    box = middle(*picture.size)
    # Small pictures are enlarged without smoothing: what the model saw is what is shown.
    smooth = Image.Resampling.LANCZOS if max(picture.size) > size else Image.Resampling.NEAREST
    fitted = ImageOps.contain(picture.crop(box), (size, size), smooth)
    return fitted if box == (0, 0, *picture.size) else _with_faded_ends(fitted)


def _with_faded_ends(picture: Image) -> Image:
    """Show that a picture goes on at both ends of its longer side."""
    from PIL import Image, ImageOps

    end = max(picture.size) // 6
    ramp = Image.linear_gradient("L").resize((min(picture.size), end))  # black to white, downwards
    mask = Image.new("L", (min(picture.size), max(picture.size)), "white")
    mask.paste(ramp, (0, 0))
    mask.paste(ImageOps.flip(ramp), (0, max(picture.size) - end))
    if picture.width > picture.height:
        mask = mask.transpose(Image.Transpose.ROTATE_90)
    return Image.composite(picture, Image.new("RGB", picture.size, "white"), mask)


def _uris(index: Index, image_ids: Sequence[str]) -> dict[str, str]:
    found = index.execute(
        "select image_id, uri from images where list_contains($wanted, image_id)", {"wanted": list(image_ids)}
    )
    return {image: uri for image, uri in found.fetchall() if uri is not None}


def _score(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _name(image: str, uris: Mapping[str, str]) -> str:
    """Name an image by its file; by its id, as far as tables show it, where that is not known."""
    return printable(uris[image].rpartition("/")[2]) if image in uris else Path(image).name[:12]
