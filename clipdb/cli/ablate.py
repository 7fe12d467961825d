"""`clipdb ablate`: accuracy with the model run again without heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import output_options, readable_option
from clipdb.cli.options.model_options import model_options
from clipdb.cli.show.form import Output
from clipdb.cli.show.messages import say

INTERVALS = (
    ("causal", "causal_low", "causal_high"),
    ("difference", "difference_low", "difference_high"),
    ("control_causal", "control_low", "control_high"),
)


@click.command()
@click.option("--heads", "listed", metavar="HEADS", help="The heads, as L4.H1,L4.H2.")
@click.option("--property", metavar="PROPERTY", help="Heads that carry this property; several with commas.")
@click.option("--layers", help="Heads of these layers: 3-4, 0,2 or last2.")
@click.option("--labeller", help="Heads by the labels of this labeller, as vote, not by their current ones.")
@click.option("--ccs", type=click.Choice(["high", "moderate", "low"]), help="Heads whose CCS is so (query ccs).")
@click.option("--judge", help="Whose verdicts make the CCS, where there are several judges and no majority.")
@click.option("--each", is_flag=True, help="One head after the other: all of the trunk, or of those chosen.")
@click.option(
    "--mode",
    type=click.Choice(["mean", "zero"]),
    default="mean",
    show_default=True,
    help="Replace a head's output by its mean over the images, or by nothing.",
)
@click.option(
    "--mean",
    type=click.Choice(["token", "global"]),
    default="token",
    show_default=True,
    help="A mean for each token's place, or one over all tokens.",
)
@click.option(
    "--at",
    type=click.Choice(["all", "class-token"]),
    default="all",
    show_default=True,
    help="At which tokens the output is replaced.",
)
@click.option(
    "--target", default="label", show_default=True, help="What is classified: label, or a key of the images' metadata."
)
@click.option(
    "--template", default="a photo of a {}", show_default=True, help="The text of a class; its name goes where {} is."
)
@click.option("--templates", metavar="FILE|openai", help="A template a line: a class is the mean of its texts.")
@click.option(
    "--groups", metavar="KEYS", help="More keys, with commas: the worst group is one of class and their values."
)
@click.option("--images", type=click.IntRange(min=1), help="Classify the first so many images by id [default: all].")
@click.option(
    "--control",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many random sets to draw; with --each none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the random sets and the bootstrap.")
@model_options
@readable_option
@output_options
def command(
    index: Path | str,
    output: Output,
    listed: str | None,
    device: str,
    checkpoint: Path | None,
    **options: Any,
) -> None:
    """Measure zero-shot accuracy with the model run again without heads.

    The heads' outputs are replaced inside the model, and every layer behind them is computed anew: causal is the
    accuracy then. direct is what `clipdb query ablate` gives with the same --mode: the heads' own contributions are
    taken off the embedding, and later layers can't make up for them. before is the model as it is. Where direct and
    causal differ, trust causal.

    The image files must be where they were; those that aren't are left out and counted. The interval of causal is
    Wilson's, that of the difference a bootstrap over images, both of 95 %. control_direct and control_causal are the
    means of random sets of as many other heads.

    What it finds is kept in the index as soon as each set is done: `clipdb query effects` lists it, and the same
    command goes on where it was stopped. Of an export, or while somebody else writes the index, nothing is kept.

    \b
        clipdb ablate --property background --target background
        clipdb ablate --each --target colour --images 300 -o effects.csv
        clipdb ablate --ccs high --templates openai --groups background
    """
    from clipdb.api.ablating import COLUMNS, ablate
    from clipdb.api.opening import open as open_index
    from clipdb.cli.show.output import write_rows

    heads = () if listed is None else (listed,)
    with open_index(index, device=device, checkpoint=checkpoint) as opened:
        found = ablate(opened, heads=heads, **options)
    write_rows(COLUMNS, found.rows, output, INTERVALS)
    left_out = f"; {counted(found.unread, 'image')} left out: the file is gone, changed or damaged"
    say(f"{counted(found.images, 'image')} classified{left_out if found.unread else ''}", err=True)
