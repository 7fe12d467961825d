"""Images in a store: what a source yields there is what it yields from a disk."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from object_store import BUCKET, SECRET, Fault, Store, after, first
from support import done, refused, rows

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import open_sources
from clipdb.ingest.images.sources.uri import found, read_known, read_uri
from clipdb.stores.failures import StoreFailed

ROOT = f"s3://{BUCKET}/photos"


@pytest.fixture(scope="module")
def folder(server: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, shards and lists of them, on the disk and as `ROOT` in the store; the bytes are no real pictures."""
    root = tmp_path_factory.mktemp("photos")
    (root / "images/train").mkdir(parents=True)
    names = [f"images/{'train/' if number % 2 else ''}{number}.png" for number in range(6)]
    for number, name in enumerate(names):
        (root / name).write_bytes(f"picture {number}".encode() * 1000)
    (root / "images/film.mov").write_bytes(b"film")
    (root / "images/.hidden.png").write_bytes(b"hidden")
    (root / "shards/deep").mkdir(parents=True)
    for shard in range(2):
        with tarfile.open(root / f"shards/deep/{shard:03}.tar", "w") as archive:
            for number in range(3):
                _add(archive, f"{shard}{number}.png", f"in a tar {shard} {number}".encode() * 20_000)
                _add(archive, f"{shard}{number}.cls", b"cat")
    (root / "tables").mkdir()
    images = [{"bytes": f"in parquet {number}".encode(), "path": None} for number in range(20)]
    pq.write_table(pa.table({"image": images, "label": ["dog"] * 20}), root / "tables/train-0.parquet")
    (root / "list.txt").write_text("\n".join(["# some", *names, f"{ROOT}/images/0.png"]))
    with (root / "images/table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label"], ["0.png", "zero"], ["../images/train/1.png", "one"]])
    server.put(root, "photos")
    return root


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def yielded(*paths: object) -> list[tuple[object, ...]]:
    """Read all items of sources."""
    found = []
    for item in open_sources([str(path) for path in paths]):
        found.append((item.uri, item.read(), item.label, item.split, item.metadata, item.parent))
    return found


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("images", 6),
        ("images/", 6),
        ("images/*.png", 3),
        ("**/*.png", 6),
        ("images/[0-2].png", 2),
        ("images/train/{1,3}.png", 2),
        ("shards", 6),
        ("shards/*/*.tar", 6),
        ("shards/deep/{000..001}.tar", 6),
        ("tables", 20),
        ("tables/train-0.parquet", 20),
        ("list.txt", 7),
        ("images/table.csv", 2),
    ],
)
def test_a_source_yields_what_it_yields_on_a_disk(store: Store, folder: Path, name: str, count: int) -> None:
    there, here = yielded(f"{ROOT}/{name}"), yielded(folder / name)
    expected = [(str(uri).replace(str(folder), ROOT), *others) for uri, *others in here]
    assert there == expected and len(there) == count


def test_what_was_found_is_read_again(store: Store, folder: Path) -> None:
    for source in ("images/0.png", "shards/deep/001.tar", "tables/train-0.parquet"):
        uri, data, *_ = yielded(f"{ROOT}/{source}")[-1]
        assert isinstance(data, bytes) and read_known(hashlib.sha256(data).hexdigest(), str(uri)) == data
    assert found(f"{ROOT}/images/0.png") and not found(f"{ROOT}/images/none.png")
    with pytest.raises(ClipdbError, match="no longer exists"):
        read_uri(f"{ROOT}/images/none.png")


def test_a_tar_is_streamed(store: Store, folder: Path) -> None:
    items = iter(open_sources([f"{ROOT}/shards/deep/000.tar"]))
    assert next(items).uri == f"{ROOT}/shards/deep/000.tar#00.png"
    asked = [path for method, path in store.requests if method == "GET" and path.endswith("000.tar")]
    assert asked and len(list(items)) == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("s3://no-such-bucket/photos", "there is no bucket no-such-bucket"),
        ("s3://no-such-bucket/*.tar", "there is no bucket no-such-bucket"),
        (f"{ROOT}/nothing", f"no such object or folder in the store: {ROOT}/nothing"),
        (f"{ROOT}/images/*.tar", f"nothing matches {ROOT}/images/*.tar: check the pattern"),
        (f"s3://key:{SECRET}@{BUCKET}/photos", "credentials don't belong into an address"),
        ("https://example.org/a.tar", "is not on this machine: download it first"),
    ],
)
def test_what_is_not_there_is_said(store: Store, folder: Path, source: str, said: str) -> None:
    with pytest.raises(ClipdbError) as raised:
        open_sources([source])
    assert said in str(raised.value) and SECRET not in str(raised.value)


@pytest.mark.parametrize("fault", [Fault(500, "InternalError"), Fault(503, "SlowDown"), Fault(0)])
def test_what_fails_once_is_asked_for_again(store: Store, folder: Path, fault: Fault) -> None:
    expected = yielded(folder / "shards")
    store.behaviour = first(1, fault, "GET", "000.tar")
    assert [one[1:] for one in yielded(f"{ROOT}/shards")] == [one[1:] for one in expected]


@pytest.mark.parametrize("source", ["images", "shards/deep/000.tar", "tables/train-0.parquet", "list.txt"])
def test_a_store_that_refuses_ends_the_run(store: Store, folder: Path, source: str) -> None:
    sources = open_sources([f"{ROOT}/{source}"])
    store.behaviour = lambda method, path: Fault(403, "ExpiredToken")
    with pytest.raises(StoreFailed, match=f"the credentials for bucket {BUCKET} have expired"):
        [item.read() for item in sources]


def test_one_object_that_is_kept_back_fails_alone(store: Store, folder: Path) -> None:
    store.behaviour = lambda method, path: Fault(403, "AccessDenied") if path.endswith("2.png") else None
    failed = []
    for item in open_sources([f"{ROOT}/images"]):
        try:
            item.read()
        except ClipdbError as error:
            failed.append((item.uri, str(error)))
            assert not isinstance(error, StoreFailed)
    assert [uri for uri, _ in failed] == [f"{ROOT}/images/2.png"] and "refuses access" in failed[0][1]


def test_an_ingest_resumes_where_credentials_expired(
    store: Store, scenes: Path, model: tuple[object, ...], tmp_path: Path
) -> None:
    for number, file in enumerate(sorted(scenes.glob("*.png"))[:12]):
        store.client.upload_file(str(file), BUCKET, f"scenes/{number // 4}/{file.name}")
    index = tmp_path / "stored.clipdb"
    ingest = ("ingest", "images", f"s3://{BUCKET}/scenes", *model, "--workers", 0, "--batch-size", 4, "-i", index)
    store.behaviour = after(8, Fault(403, "ExpiredToken"), "GET", ".png")
    assert f"the credentials for bucket {BUCKET} have expired" in refused(*ingest)
    store.well()
    said = done(*ingest)
    assert "failed 0" in said and rows(index, "select count(*), count(distinct uri) from images") == [(12, 12)]
    assert rows(index, "select count(*) from images where starts_with(uri, ?)", f"s3://{BUCKET}/scenes/") == [(12,)]
    assert rows(index, "select count(*) from image_failures") == [(0,)]
    kept = "".join(str(row) for row in rows(index, "select arguments from runs"))
    assert SECRET not in kept and f"s3://{BUCKET}/scenes" in kept
