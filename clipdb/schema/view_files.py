"""The files of the views and macros that every catalog carries, and whether a catalog has those of today.

A catalog keeps the views that it was made with, and their hash as the macro ``views_hash()``. Where that isn't the hash
of today's views, whoever opens the catalog for writing makes them anew (`clipdb.schema.views`), and a reader gets its
own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from zlib import crc32

import duckdb

from clipdb.errors import ClipdbError
from clipdb.plugins import folders

FOLDER = Path(__file__).parent / "views"


@cache
def sources() -> dict[str, str]:
    """Read the files of all views: clipdb's own, and those of other packages (entry points ``clipdb.views``).

    Raises
    ------
    ClipdbError
        If two have one name.
    """
    found: dict[str, Path] = {}
    for folder in (FOLDER, *folders("views")):
        for path in sorted(folder.glob("*.sql")):
            if path.stem in found:
                raise ClipdbError(f"{path} has the name of another view, {found[path.stem]}: rename it")
            found[path.stem] = path
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


@cache
def digest() -> str:
    """Hash every view: CRC-32 and length, which take no time at a start, where SHA-256 would load OpenSSL."""
    written = repr(sorted(sources().items())).encode()
    return f"{crc32(written):08x}-{len(written)}"


def are_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Return whether a catalog has the views of this version."""
    try:
        return connection.execute("select views_hash()").fetchone() == (digest(),)
    except duckdb.CatalogException:  # made before catalogs said it
        return False
