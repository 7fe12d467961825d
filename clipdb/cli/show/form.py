"""Where results go, and in which form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.pictures import PICTURES
from clipdb.plugins import members, modules

TEXT_FORMATS = "clipdb.cli.show.formats"
FORMATS = ("table", *modules("formats", TEXT_FORMATS), "parquet")
_BY_SUFFIX = {".txt": "table", ".parquet": "parquet"}


@dataclass(frozen=True)
class Output:
    """Where results go and in which form."""

    format: str
    path: Path | None
    limit: int | None
    columns: tuple[str, ...] = ()
    """Only these columns, in this order; all where it is empty."""


def format_of(path: Path | None, draws: bool) -> str:
    """Find the form by a file's suffix; one without a suffix gets a table."""
    suffix = path.suffix.lower() if path is not None else ""
    if not suffix or (draws and suffix in PICTURES):
        return "table"
    by_suffix = _suffixes()
    if suffix not in by_suffix:
        known = [*by_suffix, *(PICTURES if draws else ())]
        more = "; pictures are drawn by --sheet or --plot, where there is one" if suffix in PICTURES else ""
        raise ClipdbError(f"--output doesn't write {suffix}: it writes {', '.join(known)}, or say --format{more}")
    return by_suffix[suffix]


def _suffixes() -> dict[str, str]:
    """Map the suffix of a file to its format."""
    texts = members("formats", TEXT_FORMATS, "SUFFIXES")
    return _BY_SUFFIX | {suffix: name for name, suffixes in texts.items() for suffix in suffixes}
