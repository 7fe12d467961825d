"""The user and password of a URL are for its host alone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support import clipdb, rows

import clipdb as python
from clipdb._util.text import without_login
from clipdb.errors import ClipdbError


@pytest.fixture
def url() -> str:
    """Of a host that takes no connections, with a login."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return f"http://ada:hunter2pass@127.0.0.1:{port}/{'long/' * 80}x"


@pytest.mark.parametrize(
    "command",
    [
        ("query", "heads", "-i"),
        ("query", "select 1 from image_vectors", "-i"),
        ("info", "-i"),
        ("label", "-i"),
        ("ingest", "images", "--model", "clipdb-tiny/scenes"),
        ("import",),
    ],
)
def test_no_message_shows_them(command: tuple[str, ...], url: str) -> None:
    result = clipdb(*command, url)
    assert result.exit_code == 1 and "http://127.0.0.1:" in result.stderr
    assert "hunter2" not in result.output and "ada" not in result.output


def test_no_error_of_python_shows_them(url: str) -> None:
    with pytest.raises(ClipdbError) as caught:
        python.open(url)
    assert "http://127.0.0.1:" in str(caught.value) and "hunter2" not in str(caught.value)


def test_no_run_keeps_them(tmp_path: Path, model: tuple[object, ...], pictures: list[Path]) -> None:
    index, folder = tmp_path / "i.clipdb", tmp_path / "https:" / "ada:hunter2pass@host"
    folder.mkdir(parents=True)
    (folder / "a.png").symlink_to(pictures[0])
    assert clipdb("ingest", "images", folder, *model, "--workers", 0, "-i", index).exit_code == 0
    [(arguments,)] = rows(index, "select arguments from runs")
    assert "https:/host" in arguments and "hunter2" not in arguments


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see 'https://a:b@h/x@y' and s3://k:s@b/c", "see 'https://h/x@y' and s3://b/c"),
        ("hf://datasets/a/b@main/c", "hf://datasets/a/b@main/c"),
        ("mail a@b.c, C:/a@2x.png", "mail a@b.c, C:/a@2x.png"),
    ],
)
def test_nothing_else_is_left_out(text: str, shown: str) -> None:
    assert without_login(text) == shown
