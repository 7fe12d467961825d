"""Google's and Azure's stores: images, copies and vectors there are as in S3's, and what is wrong is said."""

from __future__ import annotations

import base64
import hashlib
import hmac
import tarfile
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from built_index import Built
from other_stores import ACCOUNT, ACCOUNT_KEY, STORES, OtherStore
from support import done, refused

import clipdb
from clipdb.ingest.images.sources import open_sources
from clipdb.stores.address import StoreAddress
from clipdb.stores.objects import upload

only_azure = pytest.mark.parametrize("running", ["az"], indirect=True)
WRONG_KEY = base64.b64encode(b"another key").decode()


@pytest.fixture(scope="module", params=["az", "gs"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherStore]:
    with STORES[request.param](tmp_path_factory.mktemp(request.param)) as store:
        yield store


@pytest.fixture
def other(running: OtherStore, monkeypatch: pytest.MonkeyPatch) -> OtherStore:
    """A server, and what opens it in the environment."""
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return running


def sent(folder: Path, to: str) -> str:
    """Copy a folder into a store."""
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        upload(file, StoreAddress(f"{to}/{file.relative_to(folder)}"))
    return to


def test_images_are_those_of_a_disk(other: OtherStore, tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    for number in range(4):
        (tmp_path / f"images/{'train/' * (number % 2)}{number}.png").write_bytes(f"picture {number}".encode() * 1000)
    (tmp_path / "list.csv").write_text("path,label\nimages/0.png,zero\nimages/train/1.png,one\n")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "images/0.png", "0.png")
    root = sent(tmp_path, f"{other.root}/photos")
    for name, count in {"images": 4, "images/**/[1-3].png": 3, "shard.tar": 1, "list.csv": 2}.items():
        there, here = (
            [(str(one.uri), one.read(), one.label, one.split) for one in open_sources([f"{place}/{name}"])]
            for place in (root, tmp_path)
        )
        assert there == [(uri.replace(str(tmp_path), root), *others) for uri, *others in here]
        assert len(there) == count


def test_an_index_is_copied_there_read_there_and_copied_back(other: OtherStore, built: Built, tmp_path: Path) -> None:
    place, back = f"{other.root}/copies/one.clipdb", tmp_path / "back.clipdb"
    assert clipdb.export_index(built.path, place, progress=False).files
    assert clipdb.export_index(built.path, place, progress=False).files == 0
    clipdb.export_index(place, back, progress=False)
    question = "select image_id, l1h1, l2h0 from image_vectors order by image_id"
    with clipdb.open(built.path) as index, clipdb.open(place) as there, clipdb.open(back) as returned:
        assert index.sql(question).fetchall() == there.sql(question).fetchall() == returned.sql(question).fetchall()
        near = {"image": built.ids[9], "head": "L1.H1"}
        assert there.query.neighbours(**near).fetchall() == index.query.neighbours(**near).fetchall()
    assert not [one for one in clipdb.verify(place) if one.problem]


def test_no_bucket_and_nothing_there_are_told_apart(other: OtherStore, built: Built, tmp_path: Path) -> None:
    nowhere = f"{other.root}-not/x"
    ingest = ("ingest", "images", "--model", "clipdb-tiny/scenes", "-i", tmp_path / "new.clipdb")
    for verb in (
        ("query", "heads", "-i", nowhere),
        ("export", "index", nowhere, "-i", built.path),
        ("export", "index", tmp_path / "back.clipdb", "-i", nowhere),
        (*ingest, nowhere),
        (*ingest, f"{nowhere}/*.png"),
    ):
        assert f"there is no bucket {StoreAddress(nowhere).bucket}: check its name" in refused(*verb)
    assert "no index and no export at" in refused("query", "heads", "-i", f"{other.root}/nothing")
    assert "no such object or folder in the store" in refused(*ingest, f"{other.root}/nothing")
    assert "nothing matches" in refused(*ingest, f"{other.root}/nothing/*.png")


@pytest.mark.parametrize("running", ["gs"], indirect=True)
def test_options_open_a_public_bucket_of_google(running: OtherStore, built: Built) -> None:
    options = {"endpoint": running.environment["STORAGE_EMULATOR_HOST"], "skip_signature": "true"}
    place = f"{running.root}/public/one.clipdb"
    clipdb.export_index(built.path, place, storage_options=options, progress=False)
    given = [word for name, value in options.items() for word in ("--storage-option", f"{name}={value}")]
    question = "select sum(l1h1[1]) from image_vectors"
    assert done("query", question, *given, "-i", place) == done("query", question, "-i", built.path)


@only_azure
def test_vectors_are_kept_in_azure_and_a_run_that_was_refused_resumes(
    other: OtherStore,
    some: Callable[[slice], Path],
    model: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, place = tmp_path / "far.clipdb", f"{other.root}/far"
    ingest = ("ingest", "images", *model, "--workers", 0, "--batch-size", 4, "-i", index)
    assert "there is no bucket" in refused(*ingest, some(slice(4)), "--vectors", f"{other.root}-not/far")
    done(*ingest, some(slice(4)), "--vectors", place)
    with monkeypatch.context() as patch:
        patch.setenv("AZURE_STORAGE_ACCOUNT_KEY", WRONG_KEY)
        assert "refuses access" in refused(*ingest, some(slice(8)))
        assert "refuses access" in refused("query", "select sum(l4h1[1]) from image_vectors", "-i", index)
    assert "added 4, skipped 4" in done(*ingest, some(slice(8)))
    with clipdb.open(index) as opened:
        assert opened.sql("select count(*), count(distinct image_id) from image_vectors").fetchall() == [(8, 8)]
    assert not [one for one in clipdb.verify(index) if one.problem]
    assert not any((index / "vectors").iterdir())
    assert ACCOUNT_KEY.encode() not in b"".join(file.read_bytes() for file in index.rglob("*") if file.is_file())


@only_azure
def test_a_token_of_azure_opens_an_index(other: OtherStore, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"{other.root}/signed/one.clipdb"
    clipdb.export_index(built.path, place, progress=False)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    question = "select sum(l1h1[1]) from image_vectors"
    expected = done("query", question, "-i", built.path)
    for mark in ("", "?"):
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", mark + _token())
        assert done("query", question, "-i", place) == expected
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", _token("x"))
    said = refused("query", question, "-i", place)
    assert "refuses access" in said and "sig=" not in said


def _token(broken: str = "") -> str:
    """Sign a token that may do everything, as Azure describes it."""
    parts = {
        "sp": "rwdl",
        "ss": "b",
        "srt": "sco",
        "se": "2099-01-01T00:00:00Z",
        "spr": "https,http",
        "sv": "2020-08-04",
    }
    text = "\n".join([ACCOUNT, parts["sp"], "b", "sco", "", parts["se"], "", parts["spr"], parts["sv"], ""])
    signature = hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256)
    return urllib.parse.urlencode(parts | {"sig": base64.b64encode(signature).decode() + broken})
