"""`clipdb verify`: are catalog and vectors whole and in agreement?"""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import index_or_stored_option, output_options, storage_option
from clipdb.cli.show.form import Output
from clipdb.errors import ClipdbError
from clipdb.stores.address import StoreAddress


@click.command()
@index_or_stored_option
@storage_option
@output_options
def command(index: Path | StoreAddress, output: Output, storage_options: dict[str, str]) -> None:
    """Check an index: every relation, and every vector.

    Prints one row per check, and fails where one does: committed versions of the vectors, rows on both
    sides, duplicates, lengths, bases, and references between tables. The checks of an index in a store are the same;
    all of its vectors are read over the network.
    """
    from clipdb.api.sharing import verify
    from clipdb.cli.show.output import write_rows

    checks = verify(index, storage_options=storage_options)
    rows = [(one.model_id, one.check, "FAILED" if one.problem else "ok", one.problem) for one in checks]
    write_rows(("model_id", "check", "result", "problem"), rows, output)
    failed = [one for one in checks if one.problem]
    if failed:
        named = "; ".join(" ".join(filter(None, (one.model_id, f"{one.check}: {one.problem}"))) for one in failed)
        remedy = (
            "export the index again, to another place"
            if isinstance(index, StoreAddress)
            else "restore a copy, or ingest into a new index"
        )
        raise ClipdbError(f"{len(failed)} of {len(checks)} checks failed: {named}: {remedy}")
