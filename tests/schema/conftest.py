from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
