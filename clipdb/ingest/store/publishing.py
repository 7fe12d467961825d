"""Publish what a writer committed: readers see it from then on, and keep what they have open as long as they like."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb

from clipdb._util.disk import sync
from clipdb.schema import catalog, snapshots
from clipdb.schema.connections import closing
from clipdb.schema.vectors import vectors_path

_TAGS = Path("_refs", "tags")  # where Lance keeps them


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
    known = snapshots.vouched(index)
    new = {name for name, version in versions.items() if version not in known.get(name, ())}
    for name in new:
        _tag(vectors_path(index) / name, versions[name])
    snapshots.publish(index, versions)
    snapshots.hide_unheld(index)
    wanted = snapshots.vouched(index)
    given_up = {name for name, old in snapshots.vouched(index, hidden=True).items() if old - wanted.get(name, set())}
    for name in new | given_up:  # versions may also have come and gone since the last publication
        _collect(vectors_path(index) / name, wanted.get(name, set()), clean)
    snapshots.delete_hidden(index)


def _tag(table: Path, version: int) -> None:
    """Keep a version from being cleaned up."""
    import lance  # half a second, which a verb that changes no vectors doesn't need

    for file in (table / _TAGS).glob("*"):
        if not file.stat().st_size:  # the power failed while it was written, and Lance would refuse to read any
            file.unlink()
    tags = lance.dataset(str(table), version=version).tags
    if _name(version) not in tags.list():
        tags.create(_name(version), version)
        made = table / _TAGS / f"{_name(version)}.json"
        for path in (made, made.parent, made.parent.parent, table):
            sync(path)


def _collect(table: Path, wanted: set[int], clean: bool) -> None:
    """Delete what no snapshot needs of a table."""
    import lance

    if not wanted:  # the model was taken out of the index
        return
    dataset = lance.dataset(str(table), version=max(wanted))
    for name in dataset.tags.list():
        if name not in map(_name, wanted):
            dataset.tags.delete(name)
    if not clean or dataset.latest_version > max(wanted):  # what is being written is not committed yet
        return
    # Only the holder of the lock gets here, so unfinished files are leftovers of a kill, not of another writer.
    dataset.cleanup_old_versions(timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False)


def _name(version: int) -> str:
    return f"v{version}"
