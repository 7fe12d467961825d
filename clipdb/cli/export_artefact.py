"""`clipdb export artefact`: write an index as Parquet files with a manifest and a dataset card."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.api.thumbnails import SIDE
from clipdb.artefact.format import WHATS, What
from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path())
@click.option(
    "--what",
    type=click.Choice(WHATS),
    default="all",
    show_default=True,
    help="The relations; or the vectors, with the models, heads and texts that they are of; or all.",
)
@click.option(
    "--model",
    "models",
    metavar="ARCH/PRETRAINED",
    multiple=True,
    help="A model to export; may be repeated [default: all].",
)
@click.option("--layers", help="Whose heads to export: last4, all, 8-11, 0,5,10-11 [default: all].")
@click.option(
    "--without-images", is_flag=True, help="Leave out where images came from: paths, metadata, arguments of commands."
)
@click.option("--thumbnails", is_flag=True, help=f"Add a small JPEG of each image, {SIDE} pixels its longer side.")
@click.option("--licence", default="", help="Licence of the export: cc-by-4.0, as the Hub names it, or in words.")
@click.option("--citation", default="", help="How to cite the export.")
@click.option("--replace", is_flag=True, help="Replace an export that is there already.")
@index_option
def artefact(
    index: Path,
    directory: str,
    what: What,
    models: tuple[str, ...],
    layers: str | None,
    without_images: bool,
    thumbnails: bool,
    licence: str,
    citation: str,
    replace: bool,
) -> None:
    """Write an index as Parquet files, with a manifest and a dataset card.

    DIR can be pushed to the Hub as it is, read by any tool that reads Parquet, asked with `clipdb query -i DIR`, and
    made an index again with `clipdb import DIR`. The same index gives the same bytes. With --model, the images are
    those that the model has vectors of; texts and pools, which belong to no model, stay.
    """
    if thumbnails and without_images:
        raise click.UsageError("--thumbnails shows the images that --without-images keeps back: choose one of them")
    from clipdb.api.sharing import export

    done = export(
        index,
        directory,
        what=what,
        models=models,
        layers=layers,
        without_images=without_images,
        thumbnails=thumbnails,
        licence=licence,
        citation=citation,
        replace=replace,
    )
    files = done.manifest.files
    size = sum(file.bytes for file in files)
    say(f"{Path(directory)}: {counted(len(files), 'file')}, {size / 2**20:,.1f} MiB")
    if not without_images and any(file.rows for file in done.manifest.of("relation", "images")):
        say("note: the files say where images were found; --without-images keeps that back", err=True)
    if done.without_thumbnail:
        lacking = counted(done.without_thumbnail, "image has", "images have")
        files_are = "its file is" if done.without_thumbnail == 1 else "their files are"
        say(f"note: {lacking} no thumbnail: {files_are} gone or changed", err=True)
