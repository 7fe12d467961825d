"""`clipdb info`: what an index holds, and what in it is older than what it stands on."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import output_options, readable_option
from clipdb.cli.show.form import Output


@click.command()
@readable_option
@output_options
def command(index: Path | str, output: Output) -> None:
    """Show what an index or an export holds: images, pools, and each model's heads, spans, labels and judgements.

    Notes say what is older than what it was made from, and which command brings it up to date.
    """
    from clipdb.api.opening import open as open_index
    from clipdb.cli.show.hints import runnable
    from clipdb.cli.show.output import write_rows
    from clipdb.queries.holdings import holdings

    with open_index(index) as opened:
        result = holdings(opened)
        names = [column[0] for column in result.description or ()]
        rows = [(*row[:-1], row[-1] and runnable(row[-1])) for row in result.fetchall()]
        write_rows(names, rows, output)
