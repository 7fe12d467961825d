"""Publish what a writer committed: readers see it from then on, and keep what they have open as long as they like."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb

from clipdb.ingest.store.table_folder import keep_tag, open_table, writing
from clipdb.schema import catalog, snapshots
from clipdb.schema.connections import closing
from clipdb.schema.vectors_place import VectorsPlace, below, vectors_place


def publish(index: Path, work: duckdb.DuckDBPyConnection, clean: bool = True) -> None:
    """Make the newest snapshot of an index; the caller holds it for writing, and nothing is under way.

    Tags keep the versions of the Lance tables that snapshots vouch for, until nobody holds the snapshots any more.

    Parameters
    ----------
    index
        Directory of the index.
    work
        The only connection to what the writer has. It is closed, since the file is copied next, and closing a copied
        file drops the lock that DuckDB has on it.
    clean
        Whether files that no version needs are deleted; not while other processes write fragments, which look the same.

    Raises
    ------
    OSError
        If the file system is full.
    """
    with closing(work) as connection:
        connection.execute("checkpoint")  # so that the file is whole without its log
        versions = catalog.versions_by_file(connection)
        place = vectors_place(index, connection)
    known = snapshots.vouched(index)
    # A publication that was killed before it had cleaned up leaves its snapshot beside the one before.
    checked = set(versions) if snapshots.has_older(index) else set()
    new = {name for name, version in versions.items() if version not in known.get(name, ())}
    for name in new:
        with writing(index, place):
            keep_tag(below(place, name), _name(versions[name]), versions[name])
    if checked:  # what an earlier publication left may be the room that this one needs
        snapshots.hide_unheld(index)
        snapshots.free_hidden(index)
    snapshots.publish(index, versions)
    snapshots.hide_unheld(index)
    wanted = snapshots.vouched(index)
    given_up = {name for name, old in snapshots.vouched(index, hidden=True).items() if old - wanted.get(name, set())}
    for name in new | given_up | checked:  # versions may also have come and gone since the last publication
        with writing(index, place):
            _collect(below(place, name), wanted.get(name, set()), clean)
    snapshots.delete_hidden(index)


def _collect(table: VectorsPlace, wanted: set[int], clean: bool) -> None:
    """Delete what no snapshot needs of a table."""
    if not wanted:  # the model was taken out of the index
        return
    dataset = open_table(table, max(wanted))
    for name in dataset.tags.list():
        if name not in map(_name, wanted):
            dataset.tags.delete(name)
    if not clean or dataset.latest_version > max(wanted):  # what is being written is not committed yet
        return
    # Only the holder of the lock gets here, so unfinished files are leftovers of a kill, not of another writer.
    dataset.cleanup_old_versions(timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False)


def _name(version: int) -> str:
    return f"v{version}"
