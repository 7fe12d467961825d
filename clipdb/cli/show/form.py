"""Where results go, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.pictures import PICTURES

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "parquet", "markdown")
_BY_SUFFIX = {
    ".txt": "table",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".md": "markdown",
}


@dataclass(frozen=True)
class Output:
    """Where results go and in which form."""

    format: str
    path: Path | None
    limit: int | None
    columns: tuple[str, ...] = ()
    """Only these columns, in this order; all where it is empty."""


def format_of(path: Path | None, draws: bool) -> str:
    """Tell the form from a file's suffix; one without a suffix gets a table."""
    suffix = path.suffix.lower() if path is not None else ""
    if not suffix or (draws and suffix in PICTURES):
        return "table"
    if suffix not in _BY_SUFFIX:
        known = [*_BY_SUFFIX, *(PICTURES if draws else ())]
        more = "; pictures are drawn by --sheet or --plot, where there is one" if suffix in PICTURES else ""
        raise ClipdbError(f"--output doesn't write {suffix}: it writes {', '.join(known)}, or say --format{more}")
    return _BY_SUFFIX[suffix]
