"""`clipdb verify`: are catalog and vectors whole and in agreement?"""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import index_option, output_options
from clipdb.cli.show.form import Output
from clipdb.errors import ClipdbError


@click.command()
@index_option
@output_options
def command(index: Path, output: Output) -> None:
    """Check an index: every relation, and every vector.

    Prints one row per check, and fails where one does: committed versions of the vectors, rows on both
    sides, duplicates, lengths, bases, and references between tables.
    """
    from clipdb.api.sharing import verify
    from clipdb.cli.show.output import write_rows

    checks = verify(index)
    rows = [(one.model_id, one.check, "FAILED" if one.problem else "ok", one.problem) for one in checks]
    write_rows(("model_id", "check", "result", "problem"), rows, output)
    failed = [one for one in checks if one.problem]
    if failed:
        named = "; ".join(" ".join(filter(None, (one.model_id, f"{one.check}: {one.problem}"))) for one in failed)
        raise ClipdbError(
            f"{len(failed)} of {len(checks)} checks failed: {named}: restore a copy, or ingest into a new index"
        )
