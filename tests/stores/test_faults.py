"""A store that fails: what passes is asked for again and right, what lasts is one line, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from built_index import Built
from object_store import BUCKET, KEY, SECRET, TOKEN, Fault, Store
from support import done, refused
from written_artefact import write_built

import clipdb
from clipdb.artefact.reading import remote
from clipdb.schema import published
from clipdb.stores import connecting

INDEX, EXPORT = f"s3://{BUCKET}/faulty/one.clipdb", f"s3://{BUCKET}/faulty/export"
SECONDS = 30
"""How long a command may take that can't succeed, with the attempts and times of these tests."""

EXPIRED = f"the credentials for bucket {BUCKET} have expired: get new ones"
CLOCK = f"this machine's clock is wrong by more than the store of bucket {BUCKET} allows"
UNKNOWN = f"the store of bucket {BUCKET} doesn't know these credentials: check the key and its secret"
REFUSES = f"bucket {BUCKET} refuses access (reading): use credentials that have s3:ListBucket and s3:GetObject there"
REGION = f"bucket {BUCKET} is in another region: name it, with AWS_REGION or --storage-option region=REGION"
BROKEN = f"the store of bucket {BUCKET} is overloaded or broken, also when asked again"
AWAY = f"the store of bucket {BUCKET} can't be reached, or breaks off: check the network and the endpoint"

FAULTS = [
    (Fault(403, "ExpiredToken"), EXPIRED),
    (Fault(400, "ExpiredToken"), EXPIRED),
    (Fault(403, "RequestTimeTooSkewed"), CLOCK),
    (Fault(403, "InvalidAccessKeyId"), UNKNOWN),
    (Fault(403, "SignatureDoesNotMatch"), UNKNOWN),
    (Fault(403, "AccessDenied"), REFUSES),
    (Fault(301, "PermanentRedirect"), REGION),
    (Fault(404, "NoSuchBucket"), f"there is no bucket {BUCKET}: check its name"),
    (Fault(500, "InternalError"), BROKEN),
    (Fault(503, "SlowDown"), BROKEN),
    (Fault(0), AWAY),
]


@pytest.fixture(scope="module", autouse=True)
def filled(server: Store, built: Built, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put the index and an export of it into the store."""
    options = {"endpoint": server.endpoint, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    clipdb.export_index(built.path, INDEX, storage_options=options, progress=False)
    folder = tmp_path_factory.mktemp("exported") / "export"
    write_built(folder, built)
    server.put(folder, "faulty/export")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two attempts, and nothing that an earlier test has downloaded."""
    for module in (connecting, remote):
        monkeypatch.setattr(module, "ATTEMPTS", 2)
    published._downloaded.clear()
    connecting._opened.cache_clear()
    yield
    connecting._opened.cache_clear()


def ask(built: Built, place: str) -> tuple[object, ...]:
    return ("query", "neighbours", "--image", built.ids[3], "--head", "L1.H1", "-n", "3", "-f", "csv", "-i", place)


def said_soon(*arguments: object) -> str:
    """Run a command that fails, soon and without showing a secret; return its line."""
    began = time.monotonic()
    said = refused(*arguments)
    assert time.monotonic() - began < SECONDS
    assert not any(secret in said for secret in (KEY, SECRET, TOKEN)), said
    return said


@pytest.mark.parametrize("place", [INDEX, EXPORT])
@pytest.mark.parametrize("fault", [Fault(500, "InternalError"), Fault(503, "SlowDown"), Fault(0)])
def test_what_fails_once_is_asked_for_again(store: Store, built: Built, place: str, fault: Fault) -> None:
    met: set[tuple[str, str]] = set()

    def behave(method: str, path: str) -> Fault | None:
        known = (method, path) in met
        met.add((method, path))
        return None if known else fault

    store.behaviour = behave
    assert done(*ask(built, place)) == done(*ask(built, str(built.path)))


@pytest.mark.parametrize(("fault", "line"), FAULTS)
def test_what_lasts_is_said(store: Store, built: Built, fault: Fault, line: str) -> None:
    store.behaviour = lambda method, path: fault
    assert line in said_soon(*ask(built, INDEX))


@pytest.mark.parametrize(
    ("place", "part"), [(INDEX, "snapshots/"), (INDEX, ".manifest"), (INDEX, "/data/"), (EXPORT, "relations/")]
)
@pytest.mark.parametrize(("fault", "line"), [(Fault(403, "ExpiredToken"), EXPIRED), (Fault(0), AWAY)])
def test_what_begins_to_fail_is_said(
    store: Store, built: Built, place: str, part: str, fault: Fault, line: str
) -> None:
    failing: list[str] = []

    def behave(method: str, path: str) -> Fault | None:
        failing.extend([path] if part in path else [])
        return fault if failing else None

    store.behaviour = behave
    assert line in said_soon(*ask(built, place))
    store.well()
    assert done(*ask(built, place)) == done(*ask(built, str(built.path)))


@pytest.mark.parametrize("verb", ["export", "query"])
def test_a_server_that_never_answers_is_given_up(
    store: Store, built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    for module in (connecting, remote):
        monkeypatch.setattr(module, "REQUEST_SECONDS", 1)
    store.behaviour = lambda method, path: Fault(0, seconds=10.0)
    command = ask(built, INDEX) if verb == "query" else ("export", "index", f"{INDEX}2", "-i", built.path)
    assert AWAY in said_soon(*command)
    store.behaviour = lambda method, path: Fault(0, seconds=10.0) if "/data/" in path else None
    if verb == "query":
        assert AWAY in said_soon(*command)


def test_a_server_that_isn_t_there_is_said(store: Store, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert AWAY in said_soon(*ask(built, INDEX))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:1")
    assert "the endpoint of the store isn't an address" in said_soon(*ask(built, INDEX))


def test_no_credentials_are_said(store: Store, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    assert "there are no credentials in the environment or in ~/.aws: set AWS_ACCESS_KEY_ID" in said_soon(
        *ask(built, INDEX)
    )
    store.behaviour = lambda method, path: Fault(403, "AccessDenied")
    anonymous = ("--storage-option", "skip_signature=true")
    assert "was asked without credentials, and isn't public" in said_soon(*ask(built, INDEX), *anonymous)
    store.well()
    with clipdb.open(EXPORT, storage_options={"access_key_id": "k", "secret_access_key": SECRET}) as export:
        assert export.sql("select count(*) from images").fetchone() == (40,)
        assert SECRET not in str(export.sql("from duckdb_secrets()").fetchall())
