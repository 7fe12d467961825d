"""The folders of Lance tables, on a disk or in a store: what is begun, killed or deleted in them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipdb._util.disk import sync
from clipdb.errors import ClipdbError
from clipdb.ingest.store.disk_errors import disk_errors
from clipdb.schema.vectors_place import VectorsPlace
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import lance_options
from clipdb.stores.failures import explained, reaching, require_bucket
from clipdb.stores.objects import delete_folder, has_objects

if TYPE_CHECKING:
    import lance

_TAGS = ("_refs", "tags")  # where Lance keeps them


def open_table(table: VectorsPlace, version: int | None = None) -> lance.LanceDataset:
    """Open a table for writing, at its newest version or another."""
    import lance  # half a second, which a verb that changes no vectors doesn't need

    return lance.dataset(str(table), version=version, storage_options=lance_options(table, writes=True))


def write_rows(table: VectorsPlace, rows: Any, mode: str) -> lance.LanceDataset:
    """Make a table of rows, append them to it, or put them in the place of its own."""
    import lance

    return lance.write_dataset(rows, str(table), mode=mode, storage_options=lance_options(table, writes=True))


def append_fragments(
    dataset: lance.LanceDataset, table: VectorsPlace, fragments: Sequence[lance.FragmentMetadata]
) -> lance.LanceDataset:
    """Make fragments that were written beside a table part of it."""
    import lance

    append, options = lance.LanceOperation.Append(list(fragments)), lance_options(table, writes=True)
    return lance.LanceDataset.commit(str(table), append, read_version=dataset.version, storage_options=options)


def require_rows(dataset: lance.LanceDataset, expected: int) -> None:
    """Check that a store which broke off while a version was committed hasn't got its rows twice.

    Raises
    ------
    ClipdbError
        If it has; the next writer drops that version.
    """
    if (rows := dataset.count_rows()) != expected:
        raise ClipdbError(
            f"{dataset.uri} has {rows} rows in place of {expected} now: run the same command again, which drops "
            "what is too much"
        )


def fragment_files(table: Path, fragments: Sequence[lance.FragmentMetadata]) -> list[Path]:
    """Name the files that hold the rows of fragments."""
    return [table / "data" / file.path for fragment in fragments for file in fragment.files]


def writing(index: Path, table: VectorsPlace) -> AbstractContextManager[None]:
    """Say in one line why a table of an index can't be written: by the disk, or by the store."""
    return reaching(table, "writing") if isinstance(table, StoreAddress) else disk_errors(index)


def explain_store(table: VectorsPlace, error: Exception) -> None:
    """Raise why a table can't be opened, if it is in a store that says more than that it isn't there.

    Raises
    ------
    ClipdbError
        Naming the bucket and what to do.
    """
    if isinstance(table, StoreAddress):
        if "was not found" not in str(error):
            raise explained(table, error) from None
        require_bucket(table)


def require_free(place: VectorsPlace) -> None:
    """Check that vectors of a new index can be kept in a folder, which nothing else uses.

    Raises
    ------
    ClipdbError
        If something is there already, or the store refuses or fails.
    """
    if isinstance(place, StoreAddress):
        taken = has_objects(place)
    else:
        taken = place.exists() and not (place.is_dir() and not any(place.iterdir()))
    if taken:
        raise ClipdbError(
            f"{place} can't take the vectors of a new index, since something is there already: choose another folder "
            "for --vectors, or delete what is there"
        )


def make_place(place: VectorsPlace) -> None:
    """Make the folder of a new index's tables, where that has to be made.

    Raises
    ------
    ClipdbError
        If it can't be.
    """
    if not isinstance(place, StoreAddress):
        try:
            place.mkdir(parents=True, exist_ok=True)
            sync(place.parent)
        except OSError as error:
            raise ClipdbError(f"cannot keep vectors in {place}: {error.strerror}") from error


def delete_table(table: VectorsPlace) -> None:
    """Delete a table, or a folder of tables, if it is there."""
    if isinstance(table, StoreAddress):
        delete_folder(table)
    else:
        shutil.rmtree(table, ignore_errors=True)


def delete_unfinished(table: VectorsPlace) -> None:
    """Delete files that Lance was killed over before it named them; an object in a store is whole or not there."""
    if isinstance(table, Path):
        for left in table.rglob(".tmp*"):
            left.unlink()


def delete_unreadable_versions(table: VectorsPlace, committed: int) -> None:
    """Delete manifests that were being written when the power failed: Lance reads the newest before all else."""
    if isinstance(table, StoreAddress):
        return
    for file in (table / "_versions").glob("*.manifest"):
        version = 2**64 - 1 - int(file.stem)  # Lance counts them down, so that the newest comes first
        try:
            if version > committed:
                open_table(table, version)
        except (OSError, ValueError):
            file.unlink()


def keep_tag(table: VectorsPlace, name: str, version: int) -> None:
    """Keep a version from being cleaned up."""
    if isinstance(table, Path):
        for file in table.joinpath(*_TAGS).glob("*"):
            if not file.stat().st_size:  # the power failed while it was written, and Lance would refuse to read any
                file.unlink()
    tags = open_table(table, version).tags
    if name not in tags.list():
        tags.create(name, version)
        if isinstance(table, Path):
            made = table.joinpath(*_TAGS, f"{name}.json")
            for path in (made, made.parent, made.parent.parent, table):
                sync(path)
