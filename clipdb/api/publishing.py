"""`clipdb.export_index`: an index in a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.api.progress import Shown, stage_progress
from clipdb.stores.address import StoreAddress

if TYPE_CHECKING:
    from clipdb.artefact.export.index_copy import Copied

SENDING = "sending files"


def export_index(
    index: str | Path, address: str, *, storage_options: Mapping[str, str] | None = None, progress: Shown = True
) -> Copied:
    """Copy an index into an object store, from where it is read in place: ``clipdb.open(address)``.

    Readers find the copy when all of it is there, and what they have open stays as it is for a day. Called again, it
    sends what is new. Call it once at a time for one place.

    Parameters
    ----------
    index
        Directory of the index.
    address
        ``s3://BUCKET/PREFIX``, ``gs://...`` or ``az://...``.
    storage_options
        What opens the store: see `clipdb.open`.
    progress
        See `clipdb.api.progress.Shown`.

    Returns
    -------
    Copied
        How many ``files`` and ``bytes`` were sent, how many were ``there``, and how many were ``deleted``.

    Raises
    ------
    ClipdbError
        If the index can't be read, another index or an export is there, or the store refuses or fails. Readers then
        have what they had.

    Examples
    --------
    >>> try:
    ...     clipdb.export_index("mine.clipdb", "a-bucket/heads.clipdb")
    ... except clipdb.ClipdbError as error:
    ...     print(error)
    a-bucket/heads.clipdb is no address in a store: write s3://BUCKET/PREFIX, gs://... or az://...
    """
    to = address if isinstance(address, StoreAddress) else StoreAddress(address, storage_options)
    from clipdb.artefact.export.index_copy import copy_index

    with stage_progress(progress, SENDING) as told:
        return copy_index(Path(index), to, lambda done, total: told(SENDING, done, total))
