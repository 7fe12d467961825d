"""Where an import builds a new index: beside its place, which it takes when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from clipdb._util.disk import sync
from clipdb.errors import ClipdbError
from clipdb.ingest.store.lock import writer_lock
from clipdb.schema import catalog, creation


@contextmanager
def whole(index: Path, digest: str) -> Iterator[Path]:
    """Return the directory to write to: of a new index one beside its place, which is renamed when it is whole.

    It is named after the artefact, so that no other import that still runs has the same.

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
    _clean(index)
    if catalog.exists(index):
        yield index
        return
    creation.require_free(index)
    building = index.with_name(f".{index.name}.{digest[:16]}")
    yield building
    with writer_lock(building):  # else another import might take it for what a kill left
        try:
            building.rename(index)
            sync(index.parent)
        except OSError as error:
            shutil.rmtree(building)
            raise ClipdbError(f"cannot make an index at {index}: {error.strerror}") from error


def _clean(index: Path) -> None:
    """Delete what killed imports left beside an index's place; one that still runs holds a lock."""
    for other in index.parent.glob(f".{escape(index.name)}.{'[0-9a-f]' * 16}"):
        # A kill may have come while it was deleted: so not all of these need be there.
        with suppress(ClipdbError, OSError):
            if creation.is_unfinished(other):
                with writer_lock(other):
                    shutil.rmtree(other)
