from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from artefacts import export, files, make
from support import refused


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index; don't write to it."""
    return make(tmp_path_factory.mktemp("made") / "made.clipdb")


@pytest.fixture(scope="module")
def exported(index: Path) -> Path:
    """`index` as an artefact; don't write to it."""
    return export(index, index.parent / "exported")


@pytest.fixture
def artefact(exported: Path, tmp_path: Path) -> Path:
    """A copy of `exported` of the test's own."""
    return Path(shutil.copytree(exported, tmp_path / "artefact"))


@pytest.fixture
def refusal(index: Path, artefact: Path) -> Callable[[], str]:
    """Have an import refused; nothing is written."""

    def line() -> str:
        before = files(index)
        said = refused("import", artefact, "-i", index)
        after = files(index)
        after.pop("writer.lock", None)
        before.pop("writer.lock", None)
        assert after == before
        return said

    return line
