"""`clipdb import spans` and `clipdb import labels`: published spans and names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipdb._util.text import counted
from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say

if TYPE_CHECKING:
    from clipdb.ingest.names.published.published_names import Imported


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add FILE, --source, --model and --index to a command."""
    file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
    source = click.option("--source", required=True, metavar="NAME", help="Short name of where the data come from.")
    model = click.option("--model", metavar="ARCH/PRETRAINED", help="Model of all rows, where no column says it.")
    return file(source(model(index_option(function))))


@click.command()
@_options
def spans(index: Path, file: Path, source: str, model: str | None) -> None:
    """Import published spans, which --source serves as their pool.

    FILE is CSV or Parquet with the columns model, pretrained, layer, head, rank and text, and perhaps
    variance_explained; layers and heads count from 0, ranks from 1. Spans of the same model and source are replaced
    where the file has others. A missing index is made.
    """
    from clipdb.api.importing import import_spans

    _tell(index, "span", import_spans(index, file, source=source, model=model))


@click.command()
@_options
def labels(index: Path, file: Path, source: str, model: str | None) -> None:
    """Import published names of heads, as labels by import:SOURCE.

    FILE is CSV or Parquet with the columns model, pretrained, layer, head and property, and perhaps confidence (0 to 1)
    and rationale; layers and heads count from 0. A name that is new or has changed is added, and counts from then on.
    A missing index is made.
    """
    from clipdb.api.importing import import_labels

    _tell(index, "label", import_labels(index, file, source=source, model=model))


def _tell(index: Path, what: str, found: Imported) -> None:
    if found.ignored:
        say(f"note: left out the columns {', '.join(found.ignored)}", err=True)
    say(
        f"{index}: added {counted(found.added, what)}, skipped {found.skipped}; "
        f"the file has {counted(found.heads, 'head')} of {', '.join(found.models)}"
    )
