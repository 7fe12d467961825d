"""`clipdb import artefact`: import an index as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say

if TYPE_CHECKING:
    from clipdb.artefact.merge import Merged


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path())
@click.option(
    "--prefer",
    type=click.Choice(["theirs", "ours"]),
    help="Which to keep where the artefact and the index differ; without it that is an error.",
)
@index_option
def artefact(index: Path, directory: str, prefer: Literal["ours", "theirs"] | None) -> None:
    """Import what `clipdb export` wrote, into a new index or one that is there.

    Every file is checked before anything is written. What is there already is skipped; images of a model that is there
    with the same weights are added to its own, and `clipdb span` then describes its heads over all of them. Stop it
    whenever you like: the index has all of an artefact or nothing of it, and the same command does it again.
    """
    from clipdb.api.importing import import_artefact

    imported = import_artefact(index, directory, prefer=prefer)
    say(f"{index}: {_counts('rows', imported.rows)}; {_counts('vectors', imported.vectors)}")
    for note in imported.notes:
        say(f"note: {note}", err=True)


def _counts(what: str, merged: Merged) -> str:
    replaced = f", replaced {merged.replaced}" if merged.replaced else ""
    return f"{what} added {merged.added}, skipped {merged.skipped}{replaced}"
