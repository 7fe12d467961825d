"""`clipdb align`: let the texts of a CLIP model reach a model without a text tower."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say


@click.command()
@click.option("--model", required=True, help="The model without a text tower: DINOv2, for example.")
@click.option("--to", required=True, help="The CLIP model whose texts are to reach it, over the same images.")
@index_option
def command(index: Path, model: str, to: str) -> None:
    """Let the texts of a CLIP model reach a model that has no text tower.

    A linear map from the model's embeddings to the CLIP model's is fitted over the images that the index has of both
    (ridge regression), and its transpose maps texts: from then on `clipdb span`, `label`, `explain` and whatever else
    takes a text work for the model. R^2, over images that were held out, says how good the map is, and is shown
    wherever texts are used; a map under 0.3 is refused.

    An aligner that the model had is replaced, and spans found through it are deleted: run `clipdb span` afterwards.
    """
    from clipdb.api.aligning import align

    found = align(index, model=model, to=to)
    say(
        f"texts of {found.target} reach {found.model}: R^2 {found.r2:.3f}, over {counted(found.images, 'shared image')}"
    )
