"""`clipdb export pages`: the explorer as a folder of static files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import readable_option
from clipdb.cli.show.messages import say
from clipdb.errors import ClipdbError
from clipdb.explorer.frozen.page_export import IMAGES, export_pages


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path())
@click.option("--without-images", is_flag=True, help="Leave out pictures, the names of files and labels.")
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=IMAGES,
    show_default=True,
    metavar="N",
    help="At most how many images go in; those that activate heads most and least go in besides.",
)
@click.option("--yes", is_flag=True, help="Don't ask whether pictures and names of files may be published.")
@click.option("--replace", is_flag=True, help="Replace frozen pages that are there already.")
@readable_option
def pages(index: Path | str, directory: str, without_images: bool, images: int, yes: bool, replace: bool) -> None:
    """Freeze the explorer into a folder that any host of static files serves.

    The pages of models, heads, properties and images are there as `clipdb serve` shows them, below any address, and the
    nearest images of an image are found in the browser. What needs a server is left out: words of a visitor's own,
    pictures, SQL. The same index gives the same bytes.
    """
    if not (without_images or yes):
        _ask(index)
    done = export_pages(index, directory, without_images=without_images, images=images, replace=replace)
    say(f"{Path(directory)}: {counted(done.files, 'file')}, {done.bytes / 2**20:,.1f} MiB")
    if not without_images and done.images < done.of:
        say(f"note: {done.images:,} of {done.of:,} images are in it; --images N takes more", err=True)
    if done.without_picture:
        lacking = counted(done.without_picture, "image has", "images have")
        files_are = "its file is" if done.without_picture == 1 else "their files are"
        say(f"note: {lacking} no picture: {files_are} gone or changed", err=True)


def _ask(index: Path | str) -> None:
    """Ask a person whether pictures may be published.

    Raises
    ------
    ClipdbError
        If there is nobody to ask.
    click.Abort
        If they may not.
    """
    from clipdb.api.opening import open as open_index

    with open_index(index, models=False) as opened:
        [(count,)] = opened.execute("select count(*) from images").fetchall()
    if not count:
        return
    shown = f"the pages show pictures of {counted(count, 'image')}, with the names of their files"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ClipdbError(f"{shown}: add --yes if whoever reads them may see that, or --without-images")
    click.confirm(f"{shown.capitalize()}, to whoever can read them. Go on?", abort=True, err=True)
