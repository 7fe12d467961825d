"""An index in a store is checked there, and comes back to a disk whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from built_index import Built
from object_store import BUCKET, Store, expiring
from support import clipdb as command
from support import done, refused, rows

import clipdb
from clipdb.stores.address import StoreAddress

PLACE = f"s3://{BUCKET}/returned/one.clipdb"


@pytest.fixture(scope="module")
def copied(server: Store, built: Built) -> str:
    """A copy of `built`. Don't write to it."""
    options = {"endpoint": server.endpoint, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    clipdb.export_index(built.path, PLACE, storage_options=options, progress=False)
    return PLACE


def objects(store: Store, place: str, part: str) -> list[str]:
    prefix = StoreAddress(place).key
    return [name for name in store.names(f"{prefix}/") if part in name]


def test_a_copy_is_checked_as_the_index_is(store: Store, built: Built, copied: str) -> None:
    checks = [(one.model_id, one.check, one.problem) for one in clipdb.verify(copied)]
    assert checks == [(one.model_id, one.check, one.problem) for one in clipdb.verify(built.path)]
    assert len(checks) > 20 and not any(problem for *_, problem in checks)
    store.behaviour = expiring(2, part="/data/")
    assert f"the credentials for bucket {BUCKET} have expired" in refused("verify", "-i", copied)


def test_what_a_copy_lacks_is_said(store: Store, built: Built) -> None:
    place = f"s3://{BUCKET}/lacking/one.clipdb"
    done("export", "index", place, "-i", built.path)
    texts = objects(store, place, "texts.lance/data/")[0]
    store.client.put_object(Bucket=BUCKET, Key=texts, Body=b"short")
    said = command("verify", "-i", place, "-f", "csv").stderr
    assert "texts: the vectors can be read" in said and "export the index again, to another place" in said
    store.client.delete_object(Bucket=BUCKET, Key=texts)
    assert "the vectors there are damaged (Not found: " in command("verify", "-i", place, "-f", "csv").stderr
    store.client.delete_object(Bucket=BUCKET, Key=objects(store, place, "images.lance/_versions/")[0])
    said = command("verify", "-i", place, "-f", "csv").stderr
    assert "one/a images: the committed version is there: there is no version 1" in said


@pytest.mark.parametrize("count", [0, 1])
def test_it_comes_back_whole_or_not_at_all(store: Store, built: Built, copied: str, tmp_path: Path, count: int) -> None:
    place = tmp_path / "deep" / "back.clipdb"
    store.behaviour = expiring(count, part="/data/")
    said = refused("export", "index", place, "-i", copied)
    assert f"the credentials for bucket {BUCKET} have expired" in said and not place.exists()
    store.well()
    said = done("export", "index", place, "-i", copied, "--storage-option", "region=us-east-1")
    assert f", {count} file there already" in said if count else "there already" not in said
    assert [one.name for one in place.parent.iterdir()] == ["back.clipdb"]
    for question in (["info"], ["query", "heads"], ["verify"]):
        assert done(*question, "-i", place, "-f", "csv") == done(*question, "-i", built.path, "-f", "csv")
    assert not list(place.rglob("*.part")) and rows(place, "select count(*) from images") == [(40,)]


def test_what_is_left_of_another_copy_is_not_taken_for_this_one(
    store: Store, built: Built, copied: str, tmp_path: Path
) -> None:
    building = tmp_path / ".back.clipdb.copy"
    tables = building / "vectors" / "one__a.images.lance"
    for name in ("data/other.lance", "_versions/18446744073709551614.manifest"):
        (tables / name).parent.mkdir(parents=True, exist_ok=True)
        (tables / name).write_bytes(b"another's")
    (building / "work.duckdb.wal").write_bytes(b"another's")
    done("export", "index", tmp_path / "back.clipdb", "-i", copied)
    assert not (tmp_path / "back.clipdb/vectors/one__a.images.lance/data/other.lance").exists()
    assert done("verify", "-i", tmp_path / "back.clipdb", "-f", "csv") == done("verify", "-i", built.path, "-f", "csv")


def test_bad_places_are_said(store: Store, built: Built, copied: str, tmp_path: Path) -> None:
    assert "is an index already: choose another name" in refused("export", "index", built.path, "-i", copied)
    assert "are both in stores" in refused("export", "index", f"{copied}2", "-i", copied)
    nothing = f"s3://{BUCKET}/nothing"
    assert f"no index and no export at {nothing}" in refused("export", "index", tmp_path / "new", "-i", nothing)
    (tmp_path / "file").write_bytes(b"")
    said = refused("export", "index", tmp_path / "file" / "new.clipdb", "-i", copied)
    assert "cannot make an index at" in said
    assert not list(tmp_path.glob("new*")) and not list(tmp_path.glob(".new*"))
