"""Which files a version of a Lance table is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.schema.names import VECTORS
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import lance_options
from clipdb.stores.failures import reaching

if TYPE_CHECKING:
    import lance


def files_of(table: lance.LanceDataset) -> tuple[list[str], str]:
    """Name the files of a version of a table in its folder: what it is made of, and its manifest.

    Of an index over a column there is the folder, ending with a slash, where the table is in a store.
    """
    names = []
    for fragment in table.get_fragments():
        names += [f"data/{file.path}" for file in fragment.metadata.files]
        if deleted := fragment.deletion_file():
            names.append(deleted)
    indexes = [f"_indices/{part.uuid}/" for one in table.describe_indices() for part in one.segments]
    if indexes and Path(table.uri).is_dir():
        folders = [Path(table.uri, one) for one in indexes]
        names += [
            str(file.relative_to(table.uri)) for folder in folders for file in folder.rglob("*") if file.is_file()
        ]
    else:
        names += indexes
    return names, f"_versions/{2**64 - 1 - table.version}.manifest"


def table_in_store(index: StoreAddress, table: str, version: int) -> lance.LanceDataset:
    """Open a table of an index in a store, by the name of its folder.

    Raises
    ------
    ClipdbError
        If the store refuses or fails.
    """
    import lance

    with reaching(index):
        return lance.dataset(f"{index}/{VECTORS}/{table}", version=version, storage_options=lance_options(index))
