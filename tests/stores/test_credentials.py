"""Which credentials go to a store: those that were given, as a whole, else those of the environment."""

from __future__ import annotations

import pytest
from built_index import Built
from object_store import BUCKET, KEY, TOKEN, Store
from pyarrow.fs import AzureFileSystem, GcsFileSystem
from support import refused

import clipdb
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import file_system, lance_options

PLACE = f"s3://{BUCKET}/signed/one.clipdb"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (KEY, TOKEN)),
        ({"access_key_id": "A", "secret_access_key": "o", "session_token": "mine"}, ("A", "mine")),
        ({"skip_signature": "true"}, (None, None)),
    ],
)
def test_each_request_has_the_same(
    store: Store, built: Built, options: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    clipdb.export_index(built.path, PLACE, progress=False)
    for name in store.names("signed/"):
        store.client.put_object_acl(Bucket=BUCKET, Key=name, ACL="public-read")
    store.well()
    with clipdb.open(PLACE, storage_options=options) as there:
        assert there.sql("select sum(l1h1[1]) from image_vectors").fetchone()
    assert set(store.credentials) == {expected} and any("/data/" in path for _, path in store.requests)


def test_a_session_s_token_never_goes_with_another_s_key(
    store: Store, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    clipdb.export_index(built.path, PLACE, progress=False)
    options = {"access_key_id": "AKIAOTHER", "secret_access_key": "other"}
    with pytest.raises(clipdb.ClipdbError, match="AWS_SESSION_TOKEN in the environment belongs to another: unset that"):
        clipdb.open(PLACE, storage_options=options)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    store.well()
    with clipdb.open(PLACE, storage_options=options) as there:
        assert there.sql("select sum(l1h1[1]) from image_vectors").fetchone()
    assert set(store.credentials) == {("AKIAOTHER", None)}


def test_the_other_stores_are_made_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "c2VjcmV0IGtleSBvZiBub2JvZHk="
    azure = StoreAddress("az://box/heads.clipdb", {"AZURE_STORAGE_ACCOUNT_NAME": "me", "account_key": key})
    assert isinstance(file_system(azure), AzureFileSystem) and key not in repr(azure)
    found = lance_options(azure)
    assert (
        found is not None and found["azure_storage_account_name"] == "me" and found["azure_storage_account_key"] == key
    )
    google = StoreAddress("gcs://box/heads.clipdb/", {"skip_signature": "true"})
    assert google == "gs://box/heads.clipdb" and isinstance(file_system(google), GcsFileSystem)
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert "no account of bucket box is named: set AZURE_STORAGE_ACCOUNT_NAME" in refused(
        "query", "heads", "-i", "az://box/heads.clipdb"
    )
