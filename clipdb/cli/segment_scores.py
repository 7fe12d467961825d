"""`clipdb segment-scores`: how well heads' maps agree with masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import output_options, readable_option
from clipdb.cli.options.model_options import model_options
from clipdb.cli.show.form import Output
from clipdb.cli.show.messages import say


@click.command()
@click.argument("masks", type=click.Path(path_type=Path))
@click.option(
    "--target", default="label", show_default=True, help="What to look for: label, or a key of the images' metadata."
)
@click.option(
    "--template", default="a photo of a {}", show_default=True, help="The text of a class; its name goes where {} is."
)
@click.option("--templates", metavar="FILE|openai", help="A template a line: a class is the mean of its texts.")
@click.option("--against-mean", is_flag=True, help="Take the mean of all classes' texts off the class's own.")
@click.option("--head", "heads", multiple=True, metavar="HEAD", help="A head, as L11.H3; more with commas, or again.")
@click.option("--property", metavar="PROPERTY", help="Only heads that carry this property; several with commas.")
@click.option("--layers", help="Only heads of these layers: last2, 8-11, 0,5, pool [default: all of the index].")
@click.option(
    "--partition",
    type=click.Choice(["pool", "trunk"]),
    help="Heads of the pooling or of the trunk, where the index has both.",
)
@model_options
@readable_option
@output_options
def command(
    index: Path | str, output: Output, masks: Path, device: str, checkpoint: Path | None, **options: Any
) -> None:
    """Score the maps of `clipdb segment` against masks.

    MASKS is a folder of pictures: each has the name of an image's file, but for the suffix, and the image's size. Its
    pixels are 0 (black) where the image's class isn't. Every image that has a class and a mask is run through the
    model, its own class is looked for in it, and the map is compared with the mask over what the model sees.

    A pixel counts as the class where the map is over its mean over the image. pixel_accuracy is the share of all
    pixels that are on the right side; mean_iou the mean of intersection over union of class and background, each over
    the pixels of all images; average_precision is that of the map's own values, without a threshold, averaged over
    images. These are the measures of arXiv 2310.05916, section 5.

    \b
        clipdb segment-scores masks/ --layers last4 --templates openai
    """
    from clipdb.api.opening import open as open_index
    from clipdb.api.segmentation_scores import COLUMNS, segmentation_scores
    from clipdb.cli.show.output import write_rows

    with open_index(index, device=device, checkpoint=checkpoint) as opened:
        found = segmentation_scores(opened, masks, **options)
    write_rows(COLUMNS, found.rows, output)
    left_out = f"; {counted(found.unread, 'image')} left out: the file is gone, changed or damaged"
    say(f"{counted(found.images, 'image')} scored{left_out if found.unread else ''}", err=True)
