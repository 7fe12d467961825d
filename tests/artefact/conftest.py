from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from artefacts import export, files, make
from built_index import Built
from support import refused
from written_artefact import write_built


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


@pytest.fixture(scope="session")
def shards(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`built` as an artefact, in a folder that a glob or Hive would misread; don't write to it.

    It has three shards, and row groups of six rows.
    """
    return write_built(tmp_path_factory.mktemp("it's [a] run=3") / "heads", built)


@pytest.fixture
def own_shards(shards: Path, tmp_path: Path) -> Path:
    """A copy of `shards` of the test's own."""
    return Path(shutil.copytree(shards, tmp_path / "own"))
