from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hostile_server import KEY
from judge_answers import NAMES, give_names
from span_index import HEADS, span_index


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


@pytest.fixture(scope="session")
def named_spans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spans of six heads with names by a language model; don't write to it."""
    index = span_index(tmp_path_factory.mktemp("named") / "spans.clipdb")
    give_names(index, "llm:somebody", dict(zip(HEADS, NAMES, strict=True)))
    return index


@pytest.fixture
def own_named_spans(named_spans: Path, tmp_path: Path) -> Path:
    """A copy of `named_spans` of the test's own."""
    return Path(shutil.copytree(named_spans, tmp_path / "spans.clipdb"))
