"""What tests of imports share, an index made by hand and its artefact; and tests of language models: spans, a key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from artefacts import export, files, make
from hostile_server import KEY
from span_index import span_index
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


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="session")
def spanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spans of six heads; don't write to it."""
    return span_index(tmp_path_factory.mktemp("spanned") / "spans.clipdb")


@pytest.fixture
def own_spans(spanned: Path, tmp_path: Path) -> Path:
    """A copy of `spanned` of the test's own."""
    return Path(shutil.copytree(spanned, tmp_path / "spans.clipdb"))
