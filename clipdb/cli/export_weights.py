"""`clipdb export weights`: a model's weights without some of its heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import readable_option
from clipdb.cli.options.model_options import model_options
from clipdb.cli.show.messages import say

_SELECTORS = "property=location, layer=8-11, L11.H3 or labeller=zero-shot; may be repeated, and each adds its heads."
_SHOWN = 8


@click.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--without", metavar="SELECTOR", multiple=True, required=True, help=f"Take out these heads: {_SELECTORS}")
@click.option(
    "--mode",
    type=click.Choice(["zero", "mean"]),
    default="zero",
    show_default=True,
    help="The heads write nothing, or the mean of what they write over images and tokens.",
)
@click.option(
    "--images", type=click.IntRange(min=1), metavar="N", help="Mean and --target take N images at most [default: all]."
)
@click.option(
    "--target",
    metavar="KEY",
    help="Measure what the edit does to zero-shot accuracy, for the card: label, or a key of the images' metadata.",
)
@click.option(
    "--template", default="a photo of a {}", show_default=True, help="The text of a class; its name goes where {} is."
)
@click.option("--replace", is_flag=True, help="Replace weights that are there already.")
@model_options
@readable_option
def weights(index: Path | str, out: Path, **options: Any) -> None:
    """Write a model's weights without some heads of its trunk, for open_clip or transformers.

    The columns of the attention's output projection that read a head become zero; with --mode mean, the mean of the
    head's output goes into the projection's bias. All else stays as it is. A model with these weights embeds images as
    `clipdb ablate` runs it, with --mode zero, or with --mode mean --mean global.

    OUT is FILE.safetensors, with a card FILE.md beside it, or a folder that open_clip and transformers load by its name
    and that `clipdb ingest images --model local-dir:FOLDER` takes. The images are only read for --mode mean and
    --target.

    \b
        clipdb export weights edited/ --without property=background
        clipdb export weights edited.safetensors --without L4.H1 --mode mean --images 300
    """
    from clipdb.api.exporting_weights import export_weights

    done = export_weights(index, out, **options)
    from clipdb.schema.names import head_name

    names = ", ".join(head_name(*head) for head in done.heads[:_SHOWN]) + (", ..." if done.heads[_SHOWN:] else "")
    changed = counted(len(done.changed), "tensor differs", "tensors differ")
    say(f"{out}: {done.model} without {counted(len(done.heads), 'head')}: {names}; {changed} from the original")
    if done.unread:
        unread = counted(done.unread, "image was", "images were")
        say(f"note: {unread} left out of the mean: the file is gone, changed or damaged", err=True)
