"""Servers that speak the languages of Google's and Azure's stores, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from object_store import free_port, started

from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import file_system

BUCKET = "heads-of-others"
AZURITE, FAKE_GCS = "CLIPDB_AZURITE", "CLIPDB_FAKE_GCS"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that Azurite has, and its key, which everybody knows."""


@dataclass(frozen=True)
class OtherStore:
    """A running server: the address of its one bucket, and what opens that in the environment."""

    root: str
    environment: dict[str, str]


@contextmanager
def azure_store(folder: Path) -> Iterator[OtherStore]:
    """Run Azurite, if it is here; skip the test otherwise."""
    program = _program("azurite-blob", AZURITE)
    port = free_port()
    command = [program, "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck", "--loose"]
    with started(command, port):
        environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{ACCOUNT}",
        }
        root = StoreAddress(f"az://{BUCKET}", environment)
        file_system(root).create_dir(BUCKET)
        yield OtherStore(root, environment)


@contextmanager
def google_store(folder: Path) -> Iterator[OtherStore]:
    """Run fake-gcs-server, if it is here, and skip the test otherwise; it lets everybody in, as the made-up account."""
    program = _program("fake-gcs-server", FAKE_GCS)
    port = free_port()
    host = f"127.0.0.1:{port}"
    command = [program, "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with started([*command, "-public-host", host, "-external-url", f"http://{host}"], port):
        account = folder / "account.json"
        account.write_text(json.dumps(_account()))
        body = json.dumps({"name": BUCKET}).encode()
        made = urllib.request.Request(f"http://{host}/storage/v1/b", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(made, timeout=10).close()
        environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(account), "STORAGE_EMULATOR_HOST": f"http://{host}"}
        yield OtherStore(f"gs://{BUCKET}", environment)


STORES: dict[str, Callable[[Path], AbstractContextManager[OtherStore]]] = {"az": azure_store, "gs": google_store}


def _program(name: str, variable: str) -> str:
    program = os.environ.get(variable) or shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} on the PATH or in {variable}")
    return program


def _account() -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "type": "service_account",
        "private_key_id": "1",
        "private_key": key.decode(),
        "client_email": "tests@clipdb.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:9/nobody-asks-for-a-token",
    }
