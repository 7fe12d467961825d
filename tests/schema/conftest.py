from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from schema_rows import catalog as empty_catalog

from clipdb.schema import creation


@pytest.fixture(scope="session")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.clipdb"
    creation.create(path)
    return path


@pytest.fixture
def index(empty_index: Path, tmp_path: Path) -> Path:
    """An empty index of the test's own."""
    return Path(shutil.copytree(empty_index, tmp_path / "test.clipdb", symlinks=True))


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in another process, to its end."""

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty catalog in memory."""
    with empty_catalog() as connection:
        yield connection
