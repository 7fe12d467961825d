"""Copy an index from a store onto a disk, where it can be written to: what is there already isn't fetched again."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clipdb._util.disk import sync
from clipdb.artefact.export.index_copy import Copied, Told
from clipdb.artefact.export.index_files import files_of, table_in_store
from clipdb.errors import ClipdbError
from clipdb.ingest.store.lock import LOCK, writer_lock
from clipdb.ingest.store.publishing import publish
from clipdb.schema import creation
from clipdb.schema.duckdb_files import open_file, reason_of
from clipdb.schema.names import VECTORS
from clipdb.schema.published import Local, absent, get_newest
from clipdb.schema.snapshots import WORK
from clipdb.stores.address import StoreAddress
from clipdb.stores.objects import Object, download, listed

_AT_ONCE = 4


def return_index(index: StoreAddress, to: Path, told: Told = lambda done, total: None) -> Copied:
    """Copy the newest state of an index in a store into a new directory, which is there whole or not at all.

    It is built beside its place, as ``.NAME.copy``, where the same call goes on after a failure.

    Raises
    ------
    ClipdbError
        If there is no index, something is in the way, the disk is full, or the store refuses or fails.
    """
    creation.require_free(to)
    newest = get_newest(index)
    if newest is None:
        raise absent(index)
    building = to.with_name(f".{to.name}.copy")
    try:
        (building / VECTORS).mkdir(parents=True, exist_ok=True)
        with writer_lock(building):
            copied = _fetch(index, newest, building, told)
            building.rename(to)
            sync(to.parent)
    except FileNotFoundError as error:
        raise ClipdbError(
            f"{index} has changed, or lacks files, while it was copied: run the same command again; if that doesn't "
            f"help, see `clipdb verify -i {index}`"
        ) from error
    except OSError as error:
        raise ClipdbError(
            f"cannot make an index at {to}: {reason_of(error)}; what was fetched is kept: run the same command again"
        ) from error
    return copied


def _fetch(index: StoreAddress, newest: Local, building: Path, told: Told) -> Copied:
    for left in building.iterdir():  # of an earlier call, which may have copied another state
        if left.name not in (VECTORS, LOCK):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    data, manifests = _files(index, newest)
    for file in [one for one in (building / VECTORS).rglob("*") if one.is_file()]:
        if str(file.relative_to(building)) not in data:
            file.unlink()
    lacking = [name for name, there in data.items() if not _is_here(building / name, there)]
    _get(index, building, [*lacking, *manifests], told)
    shutil.copyfile(newest.file, building / WORK)
    publish(building, open_file(building, building / WORK, read_only=False))
    sizes = [(building / name).stat().st_size for name in (*lacking, *manifests, WORK)]
    return Copied(len(sizes), sum(sizes), len(data) - len(lacking), 0)


def _files(index: StoreAddress, newest: Local) -> tuple[dict[str, Object], list[str]]:
    """Return the files of a state's tables, whose names are never used twice, and its manifests, whose names may be."""
    there = listed(index.below(VECTORS))
    data: dict[str, Object] = {}
    manifests = []
    for table, version in newest.state.versions.items():
        names, manifest = files_of(table_in_store(index, table, version))
        manifests.append(f"{VECTORS}/{table}/{manifest}")
        folders = tuple(f"{table}/{name}" for name in names if name.endswith("/"))
        wanted = {f"{table}/{name}" for name in names if not name.endswith("/")}
        wanted |= {name for name in there if folders and name.startswith(folders)}
        for name in wanted:
            if name not in there:
                raise FileNotFoundError(name)
            data[f"{VECTORS}/{name}"] = there[name]
    for name in (*data, *manifests):
        if ".." in name.split("/"):  # which would lead out of the directory
            raise ClipdbError(f"{index.below(name)} has no name that clipdb gives: take another copy")
    return data, manifests


def _is_here(file: Path, there: Object) -> bool:
    return file.is_file() and file.stat().st_size == there.size


def _get(index: StoreAddress, building: Path, names: list[str], told: Told) -> None:
    """Download files; each has its name when it is whole and on the disk."""

    def get(name: str) -> None:
        file = building / name
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        download(index.below(*name.split("/")), part)
        sync(part)
        part.rename(file)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        getting = [pool.submit(get, name) for name in names]
        try:
            for done, one in enumerate(getting, start=1):
                one.result()
                told(done, len(names))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for folder in {parent for name in names for parent in (building / name).parents if parent.is_relative_to(building)}:
        sync(folder)
