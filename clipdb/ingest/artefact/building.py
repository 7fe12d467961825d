"""Where an import builds a new index: beside its place, which it takes when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.lock import writer_lock
from clipdb.schema import catalog


@contextmanager
def whole(index: Path, digest: str) -> Iterator[Path]:
    """Give the directory to write to: of a new index one beside its place, which is renamed when it is whole.

    It is named after the artefact, so that the same command after a kill finds what the first left.

    Parameters
    ----------
    index
        Directory of the index.
    digest
        Of the artefact.

    Raises
    ------
    ClipdbError
        If something else is in the way, or the place can't be written.
    """
    if catalog.exists(index):
        _clean(index)
        yield index
        return
    if not index.name:
        raise ClipdbError(f"{index} is no name for an index: write one as NAME.clipdb")
    if index.exists() and not (index.is_dir() and not any(index.iterdir())):
        raise ClipdbError(f"{index} is there and is not an index: choose another name")
    building = index.with_name(f".{index.name}.{digest[:16]}")
    _clean(index, building)
    yield building
    try:
        building.rename(index)
    except OSError as error:
        shutil.rmtree(building)
        raise ClipdbError(f"cannot make an index at {index}: {error.strerror}") from error


def _clean(index: Path, but: Path | None = None) -> None:
    """Delete what killed imports of other artefacts left beside an index's place; one that still runs holds a lock."""
    for other in index.parent.glob(f".{escape(index.name)}.{'[0-9a-f]' * 16}"):
        if other != but and catalog.exists(other):
            with suppress(ClipdbError, OSError), writer_lock(other):
                shutil.rmtree(other)
