"""Copy an index into a store, from where it is read in place: what is there already isn't sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.artefact.export.index_files import files_of, table_in_store
from clipdb.errors import ClipdbError
from clipdb.schema import catalog, snapshots
from clipdb.schema.names import MANIFEST, VECTORS
from clipdb.schema.published import GRACE, POINTER, Published, State, catalog_name, read_published, write_published
from clipdb.schema.snapshots import CATALOG, SNAPSHOTS
from clipdb.schema.vectors import vectors_path
from clipdb.schema.vectors_place import remembered
from clipdb.stores.address import StoreAddress
from clipdb.stores.objects import Object, delete, listed, upload

if TYPE_CHECKING:
    import lance

_AT_ONCE = 4

Told = Callable[[int, int], None]
"""Is told how many of how many files are copied."""


@dataclass(frozen=True)
class Copied:
    """How many ``files`` and ``bytes`` were copied; how many files were ``there`` already, and were ``deleted``."""

    files: int
    bytes: int
    there: int
    deleted: int


def copy_index(index: Path, to: StoreAddress, told: Told = lambda done, total: None) -> Copied:
    """Copy the newest state of an index into a store, where readers find it when all of it is there.

    After a failure readers have what they had, and the same call goes on. States that were superseded more than `GRACE`
    ago are deleted. One call at a time for a place in a store: nobody can lock that.

    Raises
    ------
    ClipdbError
        If the index can't be read, the place has something else, or the store refuses or fails.
    """
    folder = snapshots.newest(index)
    with closing(catalog.connect(index, folder)) as connection:
        if folder is None:
            raise ClipdbError(f"{index} was written by an older clipdb, or copied: run `clipdb upgrade {index}` first")
        if place := remembered(connection):
            raise ClipdbError(
                f"the vectors of {index} are in {place}, and only an index that holds its own can be copied: `clipdb "
                f"export DIR -i {index}` and `clipdb import DIR -i NEW` make one that does"
            )
        versions = catalog.versions_by_file(connection)
        runs = [run for (run,) in connection.execute("select run from runs order by run").fetchall()]
        before = _require_ours(read_published(to), to, runs, index)
        there = listed(to)
        if MANIFEST in there:
            raise ClipdbError(f"{to} is an export: choose another place for the index")
        with (folder / CATALOG).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        state = State(catalog_name(folder.name, sha256), sha256, versions, runs[-1] if runs else None)
        vouched = before.newest.versions if before else {}
        data: dict[str, Path] = {}
        manifests: dict[str, Path] = {}
        for table, version in versions.items():
            names, manifest = files_of(_opened(vectors_path(index) / table, version))
            data |= {f"{VECTORS}/{table}/{name}": vectors_path(index) / table / name for name in names}
            if vouched.get(table) != version:  # no other state has vouched for one that is there
                manifests[f"{VECTORS}/{table}/{manifest}"] = vectors_path(index) / table / manifest
        sent = {name: file for name, file in data.items() if not _is_there(there, name, file)}
        named = {state.catalog: folder / CATALOG}
        named = {name: file for name, file in named.items() if not _is_there(there, name, file)}
        _send(to, [sent, manifests, named], told)
        kept = _kept(before, state)
        write_published(to, Published(state, kept))
    deleted = _delete_unneeded(to, there, (state, *kept))
    files = [*sent.values(), *manifests.values(), *named.values()]
    return Copied(len(files), sum(file.stat().st_size for file in files), len(data) - len(sent) + (not named), deleted)


def _require_ours(before: Published | None, to: StoreAddress, runs: list[str], index: Path) -> Published | None:
    """Refuse to go over another index, or over a newer state of this one."""
    if before and before.newest.last_run is not None and before.newest.last_run not in runs:
        raise ClipdbError(
            f"{to} has another index, or a newer state of this one: {index} lacks its last run "
            f"({before.newest.last_run}). Choose another place"
        )
    return before


def _kept(before: Published | None, state: State) -> tuple[State, ...]:
    """Choose the states that readers may have open still."""
    if before is None:
        return ()
    old = before.kept if before.newest.catalog == state.catalog else (*before.kept, before.newest.superseded())
    since = datetime.now(UTC) - GRACE
    return tuple(
        one
        for one in old
        if one.catalog != state.catalog and one.superseded_at is not None and one.superseded_at > since
    )


def _opened(table: Path, version: int) -> lance.LanceDataset:
    import lance

    return lance.dataset(str(table), version=version)


def _is_there(there: dict[str, Object], name: str, file: Path) -> bool:
    return name in there and there[name].size == file.stat().st_size


def _send(to: StoreAddress, parts: list[dict[str, Path]], told: Told) -> None:
    """Send files, each part when the one before is there."""
    done, total = 0, sum(map(len, parts))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for part in parts:
            sending = [pool.submit(partial(upload, file, to.below(name))) for name, file in part.items()]
            try:
                for one in sending:
                    one.result()
                    done += 1
                    told(done, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _delete_unneeded(to: StoreAddress, there: dict[str, Object], states: tuple[State, ...]) -> int:
    """Delete what no state needs, and what is older than any reader or copy under way could have to do with."""
    since = datetime.now(UTC) - GRACE
    old = [name for name, one in there.items() if one.written_at < since and name != POINTER]
    if not old:
        return 0
    wanted = {POINTER, *(state.catalog for state in states)}
    folders: set[str] = set()
    for table in {table for state in states for table in state.versions}:
        for version in {state.versions[table] for state in states if table in state.versions}:
            names, manifest = files_of(table_in_store(to, table, version))
            wanted |= {f"{VECTORS}/{table}/{name}" for name in (*names, manifest)}
            folders |= {f"{VECTORS}/{table}/{name}" for name in names if name.endswith("/")}
    count = 0
    for name in _of_indexes(old):
        if name not in wanted and not name.startswith(tuple(folders)):
            delete(to.below(name))
            count += 1
    return count


def _of_indexes(names: list[str]) -> Iterator[str]:
    """Leave out what isn't clipdb's, which somebody has put there."""
    return (name for name in names if name.startswith((f"{VECTORS}/", f"{SNAPSHOTS}/")))
