"""SQL that reads the Parquet files of an artefact."""

from __future__ import annotations

from collections.abc import Sequence


def parquet(paths: Sequence[str], more: str = "") -> str:
    """Write the SQL that reads Parquet files as they are: a directory called ``a=b`` adds no column.

    Parameters
    ----------
    paths
        Paths or URLs.
    more
        Further arguments of ``read_parquet``.
    """
    return f"read_parquet({listed(paths)}, hive_partitioning := false{more})"


def listed(paths: Sequence[str]) -> str:
    """Write a list of paths as SQL: to bind one, DuckDB would import pandas to see whether it is of its kind."""
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"
