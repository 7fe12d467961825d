"""Which credentials go to a store: those that were given, as a whole, else those of the environment."""

from __future__ import annotations

import pytest
from built_index import Built
from object_store import BUCKET, KEY, TOKEN, Store
from pyarrow.fs import AzureFileSystem, GcsFileSystem
from support import refused

import clipdb
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import file_system, lance_options, settings
from clipdb.stores.failures import explained, is_of_lance

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


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        ({"account_key": "no base64!"}, {}, "the account_key is no key of Azure's"),
        ({"sas_token": "sv=1"}, {"AZURE_STORAGE_ACCOUNT_KEY": "YQ=="}, "there are an account_key and a sas_token"),
        ({"account_key": "YQ==", "sas_token": "sv=1"}, {}, "there are an account_key and a sas_token"),
        ({"endpoint": "http://host:1/me"}, {}, "an endpoint that is http:// takes an account_key or a sas_token"),
        ({"endpoint": "http://host:1/you", "account_key": "YQ=="}, {}, "the endpoint isn't account me's: write it as"),
        (
            {"endpoint": "host:1/me"},
            {},
            "the endpoint of the store isn't an address: write it as https://ACCOUNT.blob.",
        ),
    ],
)
def test_what_can_t_open_azure_is_said(
    options: dict[str, str], environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(clipdb.ClipdbError, match=said):
        clipdb.open("az://box/heads.clipdb", storage_options={"account_name": "me", **options})


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://azurite:1/azure", "azurite:1"),
        ("https://azure.blob.core.usgovcloudapi.net/", ".blob.core.usgovcloudapi"),
    ],
)
def test_an_endpoint_of_azure_has_the_account_in_it(endpoint: str, expected: str) -> None:
    address = StoreAddress("az://box", {"account_name": "azure", "account_key": "YQ==", "endpoint": endpoint})
    files, found = file_system(address), lance_options(address)
    assert files.__reduce__()[1][0]["blob_storage_authority"].startswith(expected)
    assert found is not None and found["azure_storage_endpoint"] == endpoint.rstrip("/")


def test_a_key_that_is_given_goes_before_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")
    found = settings(StoreAddress("az://box", {"account_name": "me", "account_key": "YQ=="}))
    assert found == {"account_name": "me", "account_key": "YQ=="}


def test_no_token_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sp=r&sig=s3cr3t%3D")
    for url in ("http://host/me/sv=1&sp=r&sig=s3cr3t%3D/box/x", "http://host/me/box/x?sig=s3cr3t%3D&sp=r&sv=1"):
        said = str(explained(StoreAddress("az://box/x"), OSError(f"GetProperties failed for '{url}'. It is a teapot")))
        assert "s3cr3t" not in said and "It is a teapot" in said


def test_what_was_explained_is_not_explained_again() -> None:
    failed = OSError("LanceError(IO): It is a teapot")
    assert is_of_lance(failed) and not is_of_lance(explained(StoreAddress("gs://box/x"), failed))
