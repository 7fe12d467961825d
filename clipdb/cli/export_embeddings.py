"""`clipdb export embeddings`: embeddings with heads taken away, for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb.cli.options.common import readable_option
from clipdb.cli.show.messages import say

if TYPE_CHECKING:
    from clipdb.artefact.export.embedding_files import Written
    from clipdb.artefact.export.embeddings import How

_SELECTORS = "property=colour, layer=8-11, head=L11.H3 or labeller=zero-shot; may be repeated, and each adds its heads."
_SHOWN = 8


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", metavar="ARCH/PRETRAINED", help="Whose embeddings; not needed where the index has one model.")
@click.option("--without", metavar="SELECTOR", multiple=True, help=f"Take these heads away: {_SELECTORS}")
@click.option("--only", metavar="SELECTOR", multiple=True, help=f"Keep these heads alone: {_SELECTORS}")
@click.option(
    "--how",
    type=click.Choice(("zero", "mean")),
    help="What --without takes away: all that a head writes, or all but its mean over the images [default: zero].",
)
@click.option("--normalise", is_flag=True, help="Bring each embedding to unit length.")
@readable_option
def embeddings(
    index: Path | str,
    file: Path,
    model: str | None,
    without: tuple[str, ...],
    only: tuple[str, ...],
    how: How | None,
    normalise: bool,
) -> None:
    """Write image embeddings, whole or with heads taken away, as Parquet or as NumPy's array.

    FILE.parquet has image_id, uri, label, split and embedding (float32), and the recipe as JSON in its metadata under
    the key clipdb. FILE.npy is the array alone, with the recipe and the ids of its rows in FILE.npy.json. Without
    --without and --only the embeddings are as stored. The model doesn't run.

    Unless --normalise is given, lengths stay as they come out: the inner product with a text's embedding is then the
    cosine without the shares of the heads that were removed, as `clipdb query ablate` has it.
    """
    from clipdb.api.exporting_embeddings import export_embeddings

    done = export_embeddings(index, file, model=model, without=without, only=only, how=how, normalise=normalise)
    say(f"{file}: {_said(done, 'without' if without else 'only')}")
    if done.left_out:
        from clipdb.schema.names import layer_name

        layers = ",".join(layer_name(layer) for layer in sorted({layer for layer, _ in done.heads}))
        say(
            f"note: {done.left_out} images were left out, which have not been through all of these heads yet: "
            f"`clipdb ingest images SRC --model {done.model} --layers {layers}` runs them",
            err=True,
        )


def _said(done: Written, edit: str) -> str:
    from clipdb.schema.names import head_name

    said = f"embeddings of {done.images} images, {done.dim} numbers each"
    if not done.heads:
        return said
    names = ", ".join(head_name(*head) for head in done.heads[:_SHOWN]) + (", ..." if done.heads[_SHOWN:] else "")
    return f"{said}, {edit} {len(done.heads)} head{'s' if done.heads[1:] else ''}: {names}"
