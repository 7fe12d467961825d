"""`clipdb import reviews`: people's decisions from a file."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", metavar="ARCH/PRETRAINED", help="Model of all rows, where no column says it.")
@index_option
def reviews(index: Path, file: Path, model: str | None) -> None:
    """Import people's names, rejections and verdicts, as `clipdb export reviews` writes them.

    FILE is CSV or Parquet with the columns model, pretrained, layer, head, reviewer, decision and property. A decision
    is named or rejected, with the pool that the person saw; or fits, does not fit or unsure, with a text. The columns
    rating (1 to 5), decided_at and run may be there. The same file again changes nothing. A missing index is made.
    """
    from clipdb.api.importing import import_reviews

    done = import_reviews(index, file, model=model)
    if done.ignored:
        say(f"note: left out the columns {', '.join(done.ignored)}", err=True)
    say(f"{index}: {done.added} decisions added, {done.skipped} were there")
