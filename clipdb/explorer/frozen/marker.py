"""The file that makes a folder one of frozen pages: it is written last, and lists the others."""

from __future__ import annotations

import json
from pathlib import Path

from clipdb import __version__
from clipdb._util.disk import sync
from clipdb.artefact.export.export_directory import Kind
from clipdb.errors import ClipdbError

MARKER = "clipdb-pages.json"


def mark(root: Path) -> dict[str, int]:
    """List the files of a folder in its marker, and have the disk keep them all.

    Returns
    -------
    dict
        The size of each file by its name relative to the folder, the marker's too.
    """
    found = sorted(one for one in root.rglob("*") if one.is_file())
    names = [one.relative_to(root).as_posix() for one in found]
    marker = root / MARKER
    told = json.dumps({"clipdb_version": __version__, "files": names}, indent=1)
    marker.write_text(f"{told}\n", encoding="utf-8")
    for one in (*found, marker):
        sync(one)
    return {name: one.stat().st_size for name, one in zip([*names, MARKER], [*found, marker], strict=True)}


def _files(marker: bytes, place: str) -> set[str]:
    try:
        return set(json.loads(marker)["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise ClipdbError(f"{place}/{MARKER} can't be read: move {place} away first") from error


PAGES = Kind("folder of frozen pages", "a", MARKER, _files)
"""What is built."""
