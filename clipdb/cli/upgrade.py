"""`clipdb upgrade`: bring an index to this version's schema."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.common import index_option, say


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[INDEX]")
@index_option
def command(index: Path, path: Path | None) -> None:
    """Bring an index of an older version of clipdb to this version's schema.

    All of it or nothing: after a failure the index is as it was. An index that is up to date is left alone.
    """
    from clipdb.schema import catalog

    target = path or index
    with catalog.connect(target, read_only=False):
        pass  # opening it for writing is what upgrades it
    say(f"{target} is at schema version {catalog.SCHEMA_VERSION}, this clipdb's.")
