"""`clipdb upgrade`: bring an index to this version's schema."""

from __future__ import annotations

from pathlib import Path

import click

from clipdb.cli.options.common import index_option
from clipdb.cli.show.messages import say


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[INDEX]")
@index_option
def command(index: Path, path: Path | None) -> None:
    """Bring an index of an older version of clipdb to this version's schema.

    All of it or nothing: after a failure the index is as it was. An index that is up to date is left alone.
    """
    from clipdb.api.sharing import upgrade
    from clipdb.schema import catalog

    target = path or index
    catalog.require_index(target)
    file = target / catalog.CATALOG
    before = f"was {_megabytes(file)} and " if file.exists() else ""  # its snapshot may have been deleted by hand
    upgraded = upgrade(target)
    size = f" Its catalog {before}is {_megabytes(file)}." if upgraded else ""
    say(f"{target} is at schema version {catalog.SCHEMA_VERSION}, this clipdb's.{size}")


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"
