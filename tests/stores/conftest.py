from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from built_index import Built, build
from object_store import ENVIRONMENT, Store, object_store


@pytest.fixture(scope="session")
def server() -> Iterator[Store]:
    with object_store() as store:
        yield store


@pytest.fixture
def store(server: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    """A server that works, and what opens it in the environment."""
    server.well()
    monkeypatch.setenv("HOME", str(tmp_path))  # where profiles are, and DuckDB's secrets
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("one") / "one.clipdb")
