from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hostile_server import KEY
from span_index import span_index


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
