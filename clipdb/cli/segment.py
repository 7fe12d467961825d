"""`clipdb segment`: where in a picture heads find a text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb.cli.options.common import PICTURE, drawing_output_options, readable_option
from clipdb.cli.options.model_options import model_options
from clipdb.cli.show.form import Output
from clipdb.cli.show.messages import say
from clipdb.pictures import PICTURES

if TYPE_CHECKING:
    from clipdb.models.segmentation import Segmentation

FIRST = 10
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("image")
@click.option("--text", required=True, help="What to look for.")
@click.option("--against", metavar="TEXT", help="Look for what speaks for --text rather than for this text.")
@click.option("--head", "heads", multiple=True, metavar="HEAD", help="A head, as L11.H3; more with commas, or again.")
@click.option(
    "--property", metavar="PROPERTY", help="Only heads that carry this property, or one of several with commas."
)
@click.option("--layers", help="Only heads of these layers: last2, 8-11, 0,5, pool [default: all of the index].")
@click.option(
    "--partition",
    type=click.Choice(["pool", "trunk"]),
    help="Heads of the pooling or of the trunk, where the index has both.",
)
@click.option(
    "--overlay",
    type=PICTURE,
    metavar="FILE.png",
    help="Draw the map over the picture, .png or .jpg; -o FILE.png does, too.",
)
@click.option("--squares", is_flag=True, help="Draw each patch as it is, not smoothed.")
@click.option("--map", "array", type=_FILE, metavar="FILE.npy", help="Write the patches' shares as a numpy array.")
@model_options
@readable_option
@drawing_output_options
def command(
    index: Path | str,
    output: Output,
    image: str,
    text: str,
    against: str | None,
    heads: tuple[str, ...],
    property: str | None,
    layers: str | None,
    partition: str | None,
    model: str | None,
    device: str,
    checkpoint: Path | None,
    overlay: Path | None,
    squares: bool,
    array: Path | None,
) -> None:
    """Show where in a picture heads find a text.

    IMAGE is a file, or an image of the index whose file is where it was: its file's name, its uri or the beginning of
    its image_id. Every patch of the picture and every token that is no patch (class token) adds its part to the heads'
    share of the cosine of picture and text; the parts add up to it exactly. They are printed as rows, largest share
    first: x0, y0, x1, y1 is the patch's box in the upright picture's pixels.

    Rows in a file are there for SQL:

    \b
        clipdb segment photo.jpg --text "a dog" -o dog.parquet
        clipdb query --files "select patch_row, patch_col, share from 'dog.parquet' where token = 'patch'"
    """
    from clipdb.api.opening import open as open_index
    from clipdb.api.segmenting import segment
    from clipdb.cli.show.output import write_rows
    from clipdb.schema.leftovers import replacing

    if output.path is not None and output.path.suffix.lower() in PICTURES:
        overlay, output = overlay or output.path, replace(output, path=None)
    if array is not None and array.suffix.lower() != ".npy":
        raise click.UsageError(f"{array} is not a .npy file")
    with open_index(index, device=device, checkpoint=checkpoint) as opened:
        found = segment(
            opened,
            image,
            text,
            against,
            heads=heads,
            property=property,
            layers=layers,
            model=model,
            partition=partition,
        )
    from clipdb.models.segmentation import COLUMNS  # which needs torch

    whole = "cosine" if against is None else "difference of the cosines"
    share = f"share {found.total:+.4f} of the {whole} {found.cosine:+.4f}"
    caption = (_heads(found, property), share, _parts(found))
    if overlay is not None:
        from clipdb.pictures.overlay import draw_overlay

        draw_overlay(found, _title(text, against), caption, overlay, squares)
    if array is not None:
        import numpy as np

        with replacing(array) as building, building.open("wb") as stream:
            np.save(stream, found.map)
    rows = found.rows()
    cut = output.format == "table" and output.path is None and output.limit is None
    write_rows(COLUMNS, rows, replace(output, limit=FIRST) if cut else output)
    if cut:
        say(f"The first {FIRST} of {len(rows)} rows; --limit N prints more, --limit 0 all.", err=True)
    say(f"{caption[0]}: {share} ({caption[2]})", err=True)


def _title(text: str, against: str | None) -> str:
    return f"“{text}”" if against is None else f"“{text}” against “{against}”"


def _heads(found: Segmentation, property: str | None) -> str:
    from clipdb.schema.names import head_name, layer_name

    layers = sorted({layer for layer, _ in found.heads})
    count = f"{len(found.heads)} heads of layers {', '.join(map(layer_name, layers))}"
    listed = ", ".join(head_name(*head) for head in found.heads) if len(found.heads) <= 8 else count
    return listed if property is None else f"{property}: {listed}"


def _parts(found: Segmentation) -> str:
    parts = {"patches": found.total - sum(found.others.values()), **found.others}
    return ", ".join(f"{name} {share:+.4f}" for name, share in parts.items())
