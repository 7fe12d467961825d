"""Vectors that are damaged on disk: everything that reads them says so in one line, and never in Lance's own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from built_index import build
from support import clipdb, refused

import clipdb as api


def _lost(index: Path) -> None:
    for file in index.rglob("*.images.lance/data/*"):
        file.unlink()


def _garbled(index: Path) -> None:
    for file in index.rglob("*.images.lance/data/*"):
        content = bytearray(file.read_bytes())
        content[-600:-100] = bytes(500)
        file.write_bytes(content)


@pytest.fixture(params=[_lost, _garbled])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    index = tmp_path / "mine.clipdb"
    build(index)
    request.param(index)
    return index


@pytest.mark.parametrize(
    "question",
    [
        ("query", "select max(norm) from image_vectors"),
        ("query", "outliers", "L1.H0"),
        ("span", "--pool", "general"),
        ("export", "there"),
    ],
    ids=lambda question: " ".join(question[:2]),
)
def test_commands_say_what_is_damaged(
    damaged: Path, question: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(damaged.parent)
    message = refused(*question, "-i", damaged)
    assert message.startswith(f"the vectors of {damaged} are damaged (")
    assert message.endswith("): restore it from a copy, or ingest into a new index")
    assert ".rs:" not in message and not Path("there").exists()


def test_python_says_what_is_damaged(damaged: Path) -> None:
    with api.open(damaged) as index, pytest.raises(api.ClipdbError, match="are damaged"):
        index.rows("outliers", head="L1.H0")


def test_verify_goes_through_every_other_check(damaged: Path) -> None:
    result = clipdb("verify", "-i", damaged, "-f", "csv")
    failed = [line for line in result.stdout.splitlines() if "FAILED" in line]
    assert result.exit_code == 1 and len(failed) == 1 and "images: the vectors can be read" in failed[0]
