"""An index in a store: what was copied there answers as on the disk, and comes whole or not at all."""

from __future__ import annotations

import pickle
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from built_index import NOW, SPANS, Built, insert
from object_store import BUCKET, SECRET, Fault, Store, after
from support import clipdb as command
from support import done, refused

import clipdb
from clipdb.artefact.export import index_copy
from clipdb.schema import catalog, published
from clipdb.stores.address import StoreAddress

PLACE = f"s3://{BUCKET}/copies/one.clipdb"


@pytest.fixture(scope="module")
def copied(server: Store, built: Built) -> str:
    """A copy of `built`. Don't write to it."""
    options = {"endpoint": server.endpoint, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    clipdb.export_index(built.path, PLACE, storage_options=options, progress=False)
    return PLACE


def test_answers_are_those_of_the_index(built: Built, store: Store, copied: str) -> None:
    questions = [
        ("heads", {}),
        ("entanglement", {}),
        ("neighbours", {"image": built.ids[9], "head": "L1.H1"}),
        ("property_neighbours", {"image": built.ids[9], "property": "colour"}),
        ("text_neighbours", {"text": SPANS[2], "head": "L2.H0"}),
        ("contributions", {"image": built.ids[9], "text": SPANS[2]}),
    ]
    with clipdb.open(built.path) as index, clipdb.open(copied) as there:
        for query, values in questions:
            rows = getattr(there.query, query)(**values).fetchall()
            assert rows and rows == getattr(index.query, query)(**values).fetchall()
        vectors = "select image_id, l1h1, l2h0 from image_vectors order by image_id"
        assert there.sql(vectors).fetchall() == index.sql(vectors).fetchall()
        with there.cursor() as second:
            assert second.sql("select count(*) from images").fetchone() == (40,)
        with there.engine.connect() as connection:
            assert connection.execute(clipdb.schema.images.select()).rowcount
        assert there.lancedb().count_rows() == 40
    for verb in (["info"], ["query", "heads"], ["query", "select count(*) as n from image_vectors"]):
        assert done(*verb, "-f", "csv", "-i", copied) == done(*verb, "-f", "csv", "-i", built.path)


def test_a_question_to_relations_asks_for_no_vectors(store: Store, copied: str) -> None:
    assert "a grey wall" in done("query", "head", "L2.H1", "-i", copied)
    assert not [path for _, path in store.requests if "/vectors/" in path]


def test_options_open_it_and_are_never_shown(
    built: Built, store: Store, copied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name)
    options = {"endpoint": store.endpoint, "AWS_SECRET_ACCESS_KEY": SECRET, "access_key_id": "k", "region": "us-east-1"}
    with clipdb.open(copied, storage_options=options) as there:
        assert there.query.neighbours(image=built.ids[9], head="L1.H1").fetchall()
        assert SECRET not in f"{there!r} {there.path!r} {there.path}"
        assert pickle.loads(pickle.dumps(there.path)).options == there.path.options  # for processes of its own
    given = [word for name, value in options.items() for word in ("--storage-option", f"{name}={value}")]
    assert done("query", *given[:2], "heads", *given[2:], "-f", "csv", "-i", copied) == done(
        "query", "heads", "-f", "csv", "-i", built.path
    )
    store.behaviour = lambda method, path: Fault(403, f"AccessDenied {SECRET}")
    result = command("query", "heads", *given, "-i", f"{copied}/other")
    assert result.exit_code == 1 and SECRET not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["review", "--reviewer", "ada"], "is in a store, where it can only be read: run this on the index on disk"),
        (["label"], "is in a store, where it can only be read"),
        (["ingest", "texts", "--pool", "scenes"], "is in a store, where it can only be read"),
        (["upgrade"], "is in a store, where it can only be read"),
        (["export", "somewhere"], "is in a store, where it can only be read"),
        (["query", "select 1", "--untrusted"], "untrusted SQL has no network"),
        (["query", "select * from 's3://other/x.parquet'"], "SQL may not read or write files unless --files is given"),
        (["query", "heads", "--storage-option", "region"], "--storage-option takes KEY=VALUE"),
        (["query", "heads", "--storage-option", "sekret=x"], "a storage option isn't one of s3://, which are access_"),
        (["query", "heads", "--storage-option", "endpoint=here"], "the endpoint of the store isn't an address"),
    ],
)
def test_what_it_is_not_for_is_said(store: Store, copied: str, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments, "-i", copied)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            f"s3://{BUCKET}/nothing",
            f"no index and no export at s3://{BUCKET}/nothing: it has neither published.json nor",
        ),
        ("s3://no-such-bucket/one", "there is no bucket no-such-bucket: check its name, and the endpoint"),
        (f"s3://key:{SECRET}@{BUCKET}/one", "credentials don't belong into an address"),
        (f"s3://{BUCKET}/one?s3_secret_access_key={SECRET}", "what follows the ? isn't read"),
        ("s3:///one", "s3:///one names no bucket"),
    ],
)
def test_a_place_without_an_index_is_said(store: Store, place: str, said: str) -> None:
    problem = refused("query", "heads", "-i", place)
    assert said in problem and SECRET not in problem


def test_options_are_for_stores(built: Built) -> None:
    assert "is in no store" in refused("query", "heads", "--storage-option", "region=x", "-i", built.path)


@pytest.fixture
def own(built: Built, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.path, tmp_path / "own.clipdb", symlinks=True))


def add_run(index: Path, run: str) -> None:
    """Commit and publish a change."""
    with catalog.changing(index) as connection:
        insert(connection, "runs", [(run, "label", "{}", "{}", None, NOW, None, 0, 0, 0)])


def test_what_is_new_is_sent_and_readers_keep_what_they_have(store: Store, own: Path) -> None:
    place = f"s3://{BUCKET}/again/own.clipdb"
    first = clipdb.export_index(own, place, progress=False)
    assert (first.files, first.there) == (5, 0)
    with clipdb.open(place) as there:
        add_run(own, "20270101T000000000000-0000")
        again = clipdb.export_index(own, place, progress=False)
        assert (again.files, again.there, again.deleted) == (1, 2, 0)
        there._place._asked -= 60  # type: ignore[attr-defined] # it looks every ten seconds
        assert there.stale and there.sql("select count(*) from runs").fetchone() == (0,)
        assert there.refresh() and there.sql("select count(*) from runs").fetchone() == (1,)
        assert not there.stale
    assert clipdb.export_index(own, place, progress=False).files == 0
    assert len(store.names("again/own.clipdb/snapshots/")) == 2


def test_what_was_superseded_long_ago_is_deleted(store: Store, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"s3://{BUCKET}/old/own.clipdb"
    clipdb.export_index(own, place, progress=False)
    store.client.put_object(Bucket=BUCKET, Key="old/own.clipdb/vectors/one__a.images.lance/data/left.lance", Body=b"x")
    store.client.put_object(Bucket=BUCKET, Key="old/own.clipdb/README.md", Body=b"mine")
    add_run(own, "20270101T000000000000-0000")
    monkeypatch.setattr(index_copy, "GRACE", timedelta(0))
    assert clipdb.export_index(own, place, progress=False).deleted == 2
    names = store.names("old/own.clipdb/")
    assert len([name for name in names if name.endswith(".duckdb")]) == 1
    assert "old/own.clipdb/README.md" in names and not [name for name in names if "left" in name]
    with clipdb.open(place) as there:
        assert there.sql("select count(*) from image_vectors").fetchone() == (40,)


def test_another_index_isn_t_written_over(store: Store, own: Path, built: Built) -> None:
    place = f"s3://{BUCKET}/mine/own.clipdb"
    add_run(own, "20270101T000000000000-0000")
    done("export", "index", place, "-i", own)
    said = refused("export", "index", place, "-i", built.path)
    assert "has another index, or a newer state of this one" in said
    store.client.put_object(Bucket=BUCKET, Key="export/manifest.json", Body=b"{}")
    assert "is an export" in refused("export", "index", f"s3://{BUCKET}/export", "-i", own)
    assert "is no address in a store" in refused("export", "index", "elsewhere", "-i", own)
    assert "no bucket no-such-bucket" in refused("export", "index", "s3://no-such-bucket/x", "-i", own)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_copy_that_fails_shows_nothing_and_goes_on(store: Store, own: Path, count: int) -> None:
    place = f"s3://{BUCKET}/failing{count}/own.clipdb"
    store.behaviour = after(count, Fault(403, "ExpiredToken"), "PUT")
    said = refused("export", "index", place, "-i", own)
    assert f"the credentials for bucket {BUCKET} have expired" in said
    store.well()
    assert "no index and no export" in refused("query", "heads", "-i", place)
    done("export", "index", place, "-i", own)
    assert "L1.H0" in done("query", "heads", "-i", place)


def test_a_damaged_copy_is_said(store: Store, own: Path) -> None:
    place = StoreAddress(f"s3://{BUCKET}/damaged/own.clipdb")
    clipdb.export_index(own, place, progress=False)
    newest = published.read_published(place)
    assert newest is not None
    key = place.below(newest.newest.catalog).key
    store.client.put_object(Bucket=BUCKET, Key=key, Body=b"no catalog")
    assert "is damaged: export the index again" in refused("query", "heads", "-i", place)
    store.client.delete_object(Bucket=BUCKET, Key=key)
    assert "names a catalog that isn't there" in refused("query", "heads", "-i", place)
    for said, text in {
        b"[]": "isn't as `clipdb export index` writes it",
        b'{"format": 2, "newest": {}}': "has format 2 and this clipdb knows 1: upgrade clipdb",
        b'{"format": 1, "newest": {"catalog": "../../x"}, "kept": []}': "isn't as `clipdb export index` writes it",
    }.items():
        store.client.put_object(Bucket=BUCKET, Key=place.below(published.POINTER).key, Body=said)
        assert text in refused("query", "heads", "-i", place)
