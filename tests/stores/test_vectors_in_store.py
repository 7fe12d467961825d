"""An index whose catalog is here and whose vectors are in a store: made, read, changed and resumed as any other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import lance
import pytest
from object_store import BUCKET, ENVIRONMENT, SECRET, Fault, Store, expiring
from support import change, done, refused, rows

import clipdb
from clipdb.ingest.store.lock import LOCK
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import lance_options

First = Callable[[int], Path]
Model = tuple[object, ...]

IMAGES, PLACE = 12, f"s3://{BUCKET}/vectors/one"
TABLE = "clipdb-tiny__random.images.lance"
EXPIRED = f"the credentials for bucket {BUCKET} have expired: get new ones, and run the same command again"
COLOURS, SHAPES = ("red", "blue", "green"), ("square", "disc")
TEXT = "a red square"
QUICK = ("--workers", 0, "--batch-size", 4)


def ingest(first: First, count: int, model: Model, *more: object) -> tuple[object, ...]:
    return ("ingest", "images", first(count), *model, *QUICK, *more)


@pytest.fixture(scope="module")
def first(some: Callable[[slice], Path]) -> First:
    """The folder of the first so many scenes."""
    return cache(lambda count: some(slice(count)))


def fill(index: Path) -> None:
    """Add texts, spans and labels."""
    pool = index.with_name("pool.csv")
    texts = [f"a {colour} {shape},colour" for colour in COLOURS for shape in SHAPES]
    pool.write_text("\n".join(["text,property", *texts]))
    done("ingest", "texts", pool, "--pool", "few", "--device", "cpu", "-i", index)
    done("span", "--pool", "few", "--device", "cpu", "-i", index)
    done("label", "--labeller", "vote", "--pool", "few", "-i", index)


@pytest.fixture(scope="module")
def local(first: First, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with vectors of its own. Don't write to it."""
    index = tmp_path_factory.mktemp("local") / "local.clipdb"
    done(*ingest(first, IMAGES, model, "-i", index))
    fill(index)
    return index


@pytest.fixture(scope="module")
def index(server: Store, first: First, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with vectors in a store. Don't write to it."""
    index = tmp_path_factory.mktemp("remote") / "remote.clipdb"
    options = {"endpoint": server.endpoint, "region": "us-east-1", "access_key_id": "k", "secret_access_key": SECRET}
    given = [word for name, value in options.items() for word in ("--storage-option", f"{name}={value}")]
    with pytest.MonkeyPatch.context() as patch:
        command = ingest(first, IMAGES, model, "-i", index, "--vectors", f"{PLACE}/", *given)
        patch.setattr("sys.argv", ["clipdb", *given, f"--storage-option={given[-1]}"])  # as the lock's file shows it
        done(*command)
        assert "--storage-option ..." in (index / LOCK).read_text()
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}.items():
            patch.setenv(name, value)
        fill(index)
    return index


def vectors(index: Path) -> list[tuple[object, ...]]:
    with clipdb.open(index) as opened:
        found = opened.sql("select image_id, norm, l4h1 from image_vectors order by image_id").fetchall()
        return found + opened.sql("select text_id, l4h1 from text_vectors order by text_id").fetchall()


def whole(index: Path) -> int:
    """Check an index with its own checks; return how many images it has."""
    problems = [one for one in clipdb.verify(index) if one.problem]
    assert not problems, problems
    ((images, distinct),) = rows(index, "select count(*), count(distinct image_id) from images")
    with clipdb.open(index) as opened:
        assert opened.sql("select count(*), count(distinct image_id) from image_vectors").fetchall() == [(images,) * 2]
    assert images == distinct
    return int(images)


def test_it_answers_as_one_with_vectors_of_its_own(store: Store, index: Path, local: Path, tmp_path: Path) -> None:
    assert vectors(index) == vectors(local) and whole(index) == whole(local) == IMAGES
    with clipdb.open(local) as one, clipdb.open(index) as other:
        image = one.sql("select min(image_id) from images").fetchall()[0][0]
        for query, values in (
            ("neighbours", {"image": image, "head": "L4.H1"}),
            ("contributions", {"image": image, "text": TEXT}),
            ("head", {"head": "L4.H1"}),
        ):
            assert getattr(one.query, query)(**values).fetchall() == getattr(other.query, query)(**values).fetchall()
        assert other.lancedb().count_rows() == IMAGES
        with other.cursor() as second:
            assert second.sql("select count(*) from image_vectors").fetchone() == (IMAGES,)
    done("export", tmp_path / "shared", "-i", index)
    assert vectors(tmp_path / "shared") == vectors(local)
    assert f'vectors,{PLACE},18,"kept there, not in the index"' in done("info", "-i", index, "-f", "csv")


def test_the_catalog_is_here_and_knows_where_the_vectors_are_but_no_secret(
    server: Store, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any((index / "vectors").iterdir())
    tables = {name.split("/")[2] for name in server.names("vectors/one/")}
    assert tables == {TABLE, TABLE.replace("images", "texts")}
    for file in [one for one in index.rglob("*") if one.is_file()]:
        assert SECRET.encode() not in file.read_bytes(), file
    ask = ("query", "select count(*) as n from image_vectors", "-f", "csv", "-i", index)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    options = {"endpoint": server.endpoint, "region": "us-east-1", "access_key_id": "k", "secret_access_key": "s"}
    given = [word for name, value in options.items() for word in ("--storage-option", f"{name}={value}")]
    server.well()
    assert str(IMAGES) in done(*ask, *given)
    with clipdb.open(index, storage_options=options) as opened, opened.cursor() as second:
        assert second.sql("select count(*) from image_vectors").fetchone() == (IMAGES,)
    assert {key for key, _ in server.credentials} == {"k"}


def test_a_reader_keeps_what_it_has_open(store: Store, first: First, model: Model, tmp_path: Path) -> None:
    index = tmp_path / "own.clipdb"
    stored = ("--vectors", f"s3://{BUCKET}/vectors/kept")
    done(*ingest(first, 4, model, "-i", index, *stored))
    with clipdb.open(index) as opened:
        done(*ingest(first, 8, model, "-i", index))
        done(*ingest(first, 12, model, "-i", index, *stored))
        assert opened.sql("select count(*) from image_vectors").fetchone() == (4,)
        assert opened.stale and opened.refresh()
        assert opened.sql("select count(*) from image_vectors").fetchone() == (12,)
    assert whole(index) == 12


def test_requests_that_fail_once_are_sent_again(store: Store, first: First, model: Model, tmp_path: Path) -> None:
    index = tmp_path / "own.clipdb"
    met: set[tuple[str, str]] = set()
    faults = [Fault(500, "InternalError"), Fault(503, "SlowDown"), Fault(0)]

    def behave(method: str, path: str) -> Fault | None:
        known = (method, path) in met or "?" in path  # lists are asked for again by pyarrow and Lance alike
        met.add((method, path))
        return None if known else faults[len(met) % len(faults)]

    store.behaviour = behave
    done(*ingest(first, 8, model, "-i", index, "--vectors", f"s3://{BUCKET}/vectors/flaky"))
    assert {method for method, _ in met} >= {"GET", "PUT"}
    store.well()
    assert whole(index) == 8


@pytest.mark.parametrize("count", [0, 4])
def test_an_ingest_goes_on_where_credentials_expired(
    store: Store, first: First, model: Model, tmp_path: Path, count: int
) -> None:
    index = tmp_path / "own.clipdb"
    command = ingest(first, 8, model, "-i", index, "--vectors", f"s3://{BUCKET}/vectors/expired{count}")
    store.behaviour = expiring(count, "PUT")
    assert EXPIRED in refused(*command)
    store.well()
    done(*command)
    assert whole(index) == 8


def test_what_a_killed_run_left_is_dropped(store: Store, first: First, model: Model, tmp_path: Path) -> None:
    index, place = tmp_path / "own.clipdb", StoreAddress(f"s3://{BUCKET}/vectors/killed")
    done(*ingest(first, 4, model, "-i", index, "--vectors", place))
    table = place.below(TABLE)
    options = lance_options(table)
    again = lance.dataset(str(table), storage_options=options).to_table(limit=2)
    lance.write_dataset(again, str(table), mode="append", storage_options=options)  # and the run dies before it says so
    store.client.put_object(Bucket=BUCKET, Key=table.below("data", "left.lance").key, Body=b"unfinished")
    with clipdb.open(index) as opened:
        assert opened.sql("select count(*) from image_vectors").fetchone() == (4,)
    done(*ingest(first, 8, model, "-i", index))
    assert whole(index) == 8 and not [name for name in store.names("vectors/killed") if "left" in name]
    assert len(store.names(f"vectors/killed/{TABLE}/_versions/")) == 1  # no snapshot vouches for another


def test_what_writes_to_it_finds_its_vectors(
    store: Store, local: Path, first: First, model: Model, tmp_path: Path
) -> None:
    own = tmp_path / "own.clipdb"
    done(*ingest(first, 4, model, "-i", own, "--vectors", f"s3://{BUCKET}/vectors/imported"))
    change(own, "update clipdb_schema set version = version - 1")
    done("upgrade", "-i", own)
    done("export", tmp_path / "shared", "-i", local)
    done("import", tmp_path / "shared", "-i", own)
    assert whole(own) == IMAGES and vectors(own) == vectors(local)


def test_another_folder_takes_them_too(first: First, model: Model, tmp_path: Path) -> None:
    index, place = tmp_path / "own.clipdb", tmp_path / "another" / "disk"
    done(*ingest(first, 4, model, "-i", index, "--vectors", place))
    assert (place / TABLE).is_dir() and not any((index / "vectors").iterdir()) and whole(index) == 4


def test_bad_places_are_refused(store: Store, index: Path, first: First, model: Model, tmp_path: Path) -> None:
    new = tmp_path / "new.clipdb"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_bytes(b"")
    for place, said in {
        "s3://no-such-bucket/x": "there is no bucket no-such-bucket: check its name, and the endpoint",
        f"s3://{BUCKET}": "is a whole bucket: name a folder in it",
        f"s3://key:{SECRET}@{BUCKET}/x": "credentials don't belong into an address",
        PLACE: f"{PLACE} can't take the vectors of a new index, since something is there already",
        tmp_path / "full": "since something is there already: choose another folder for --vectors",
        new / "vectors": "is inside the index, where vectors are anyway: leave --vectors out",
        "https://example.org/x": "can't take vectors: write s3://BUCKET/PREFIX",
    }.items():
        problem = refused(*ingest(first, 4, model, "-i", new, "--vectors", place))
        assert said in problem and SECRET not in problem and not new.exists()
    for method in ("GET", "PUT"):  # no right to list, then none to write
        store.behaviour = lambda asked, path, method=method: (  # type: ignore[misc]
            Fault(403, "AccessDenied") if asked == method else None
        )
        said = refused(*ingest(first, 4, model, "-i", new, "--vectors", f"s3://{BUCKET}/vectors/new"))
        assert f"bucket {BUCKET} refuses access" in said and not new.exists()
    store.well()
    assert not store.names("vectors/new")
    said = refused(*ingest(first, 4, model, "-i", index, "--vectors", f"{PLACE}2"))
    assert f"the vectors of {index} are in {PLACE} and stay there: leave --vectors out" in said
    said = refused(*ingest(first, 4, model, "-i", new, "--storage-option", "region=x"))
    assert f"the vectors of {new} are in no store" in said and not new.exists()


def test_what_it_is_not_for_is_said(store: Store, index: Path) -> None:
    for arguments, said in {
        ("query", "select 1", "--untrusted"): "are in a store, and untrusted SQL has no network",
        ("export", "index", f"s3://{BUCKET}/copy"): "only an index that holds its own can be copied",
        ("index", "--heads", "L4.H1"): "readers use no vector indexes in a store",
    }.items():
        assert said in refused(*arguments, "-i", index)


def test_a_bucket_that_is_gone_is_said(store: Store, index: Path, first: First, model: Model, tmp_path: Path) -> None:
    store.behaviour = lambda method, path: Fault(404, "NoSuchBucket")
    gone = f"there is no bucket {BUCKET}: check its name, and the endpoint"
    for command in (
        ("query", "neighbours", "scene-00001.png", "--head", "L4.H1"),
        ("verify",),
        ("info",),
        ("export", tmp_path / "out"),
        ("span", "--pool", "few", "--device", "cpu"),
        ingest(first, IMAGES + 1, model),
    ):
        assert gone in refused(*command, "-i", index)
    assert "L4.H1" in done("query", "heads", "-f", "csv", "-i", index)  # which is about relations


def test_a_copy_that_came_back_is_written_to(
    store: Store, local: Path, first: First, model: Model, tmp_path: Path
) -> None:
    place, back = f"s3://{BUCKET}/vectors/copy.clipdb", tmp_path / "back.clipdb"
    done("export", "index", place, "-i", local)
    # Names in a store are anyone's: this one would lead out of the directory.
    name = next(name for name in store.names("vectors/copy.clipdb") if "/_indices/" in name)
    out = f"{name.rpartition('/')[0]}/../../../../../out"
    store.client.put_object(Bucket=BUCKET, Key=out, Body=b"out")
    said = refused("export", "index", back, "-i", place)
    assert "has no name that clipdb gives" in said and not (tmp_path / "out").exists()
    store.client.delete_object(Bucket=BUCKET, Key=out)
    done("export", "index", back, "-i", place)
    assert vectors(back) == vectors(local)
    done(*ingest(first, IMAGES + 4, model, "-i", back))
    done("span", "--pool", "few", "--device", "cpu", "-i", back)
    assert whole(back) == IMAGES + 4
