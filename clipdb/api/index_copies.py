"""`clipdb.export_index`: an index in a store, and back on a disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import ClipdbError
from clipdb.stores.address import StoreAddress, is_store, with_options

if TYPE_CHECKING:
    from clipdb.artefact.export.index_copy import Copied

SENDING, FETCHING = "sending files", "fetching files"


def export_index(
    index: str | Path,
    address: str | Path,
    *,
    storage_options: Mapping[str, str] | None = None,
    progress: Shown = True,
) -> Copied:
    """Copy an index into an object store, or back to a disk.

    In a store it is read in place, as ``clipdb.open(address)``: readers find the copy when all of it is there, and what
    they have open stays as it is for a day. Called again, it sends what is new. Call it once at a time for one place. A
    copy on a disk is an index as any other, and there whole or not at all; called again after a failure, it goes on
    where it was.

    Parameters
    ----------
    index
        Directory of the index; or where it is in a store, which is copied back.
    address
        ``s3://BUCKET/PREFIX``, ``gs://...`` or ``az://...``; of an index in a store, the directory to make.
    storage_options
        What opens the store: see `clipdb.open`.
    progress
        See `clipdb.api.progress.Shown`.

    Returns
    -------
    Copied
        How many ``files`` and ``bytes`` were copied, how many were ``there``, and how many were ``deleted``.

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
    if is_store(index):
        if is_store(address):
            raise ClipdbError(f"{index} and {address} are both in stores: copy the index to a disk, and from there")
        source = with_options(index, storage_options)
        assert isinstance(source, StoreAddress)
        from clipdb.artefact.export.index_return import return_index

        with stage_progress(progress, FETCHING) as told:
            return return_index(source, Path(address), lambda done, total: told(FETCHING, done, total))
    to = address if isinstance(address, StoreAddress) else StoreAddress(str(address), storage_options)
    from clipdb.artefact.export.index_copy import copy_index

    with stage_progress(progress, SENDING) as told:
        return copy_index(Path(index), to, lambda done, total: told(SENDING, done, total))
