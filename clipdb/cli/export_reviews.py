"""`clipdb export reviews`: people's decisions as a file."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv")
@index_option
def reviews(index: Path, file: Path) -> None:
    """Write people's names, rejections and verdicts as CSV, or as Parquet where FILE ends in .parquet.

    `clipdb import reviews` reads the file, into this index or another.
    """
    from clipdb.api.reviewing import export_reviews

    if export_reviews(index, file):
        say(f"{file}: what people decided in {index}")
    else:
        say(f"note: nobody has decided on a head of {index}: {file} has no rows; see `clipdb review`", err=True)
