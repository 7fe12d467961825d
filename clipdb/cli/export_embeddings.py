"""`clipdb export embeddings`: embeddings with heads taken away, for use elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipdb.cli.options.common import readable_option
from clipdb.cli.show.messages import say
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.artefact.export.embeddings import EditedEmbeddings, How

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
    form = file.suffix.lower()
    if form not in (".parquet", ".npy"):
        raise ClipdbError(f"{file}: embeddings are written as FILE.parquet or FILE.npy")
    import clipdb
    from clipdb.artefact.export.embedding_files import write_npy, write_parquet
    from clipdb.artefact.export.embeddings import Edit, EditedEmbeddings
    from clipdb.schema.leftovers import replacing

    with clipdb.open(index) as opened, _progress() as progress:
        edited = EditedEmbeddings(opened, model, Edit(without, only, how, normalise), progress)
        with replacing(file) as building:
            if form == ".parquet":
                write_parquet(edited, building)
            else:
                with replacing(file.with_name(f"{file.name}.json")) as notes:
                    write_npy(edited, building, notes)
    say(f"{file}: {_said(edited, 'without' if without else 'only')}")
    if edited.left_out:
        layers = ",".join(str(layer) for layer in sorted({layer for layer, _ in edited.heads}))
        say(
            f"note: {edited.left_out} images were left out, which have not been through all of these heads yet: "
            f"`clipdb ingest images SRC --model {edited.model} --layers {layers}` runs them",
            err=True,
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _said(edited: EditedEmbeddings, edit: str) -> str:
    from clipdb.schema.names import head_name

    said = f"embeddings of {edited.images} images, {edited.dim} numbers each"
    if not edited.heads:
        return said
    names = ", ".join(head_name(*head) for head in edited.heads[:_SHOWN]) + (", ..." if edited.heads[_SHOWN:] else "")
    return f"{said}, {edit} {len(edited.heads)} head{'s' if edited.heads[1:] else ''}: {names}"
