"""An index and an export that strangers may ask, and a file that they may not see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from built_index import Built
from escapes import SECRET
from written_artefact import write_built

from clipdb.sandbox import Sandbox


@pytest.fixture(scope="session")
def export(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`built` as an export."""
    return write_built(tmp_path_factory.mktemp("export"), built)


@pytest.fixture(scope="session", params=["index", "export"])
def place(request: pytest.FixtureRequest, built: Built, export: Path) -> Path:
    """Something to ask."""
    return built.path if request.param == "index" else export


@pytest.fixture(scope="session")
def sandbox(place: Path) -> Iterator[Sandbox]:
    """The same, for strangers; tests share its processes, as questions do."""
    with Sandbox(place) as made:
        yield made


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table in several formats, in each of which is a secret."""
    folder = tmp_path_factory.mktemp("outside")
    for name in ("secret.csv", "secret.txt", "secret.json", "secret.sql", "secret.parquet", "secret.duckdb"):
        (folder / name).write_text(f'"{SECRET}"\n')
    return folder


@pytest.fixture
def one_index(built: Built) -> Path:
    """The index alone."""
    return built.path
