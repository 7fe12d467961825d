"""The server: from the command line, from Python, and what stops it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from support import refused

import clipdb


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_serve_says_where_and_stops_at_ctrl_c(shown_index: Path) -> None:
    command = [sys.executable, "-m", "clipdb", "serve", "-i", str(shown_index), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if word.startswith("http://127.0.0.1:"))
            assert "clipdb-tiny/random" in fetched(f"{url}models/clipdb-tiny/random")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in (0, 130)
            assert "Traceback" not in process.stdout.read()
        finally:
            process.kill()


def test_a_notebook_shows_a_frame(shown_index: Path) -> None:
    with clipdb.serve(shown_index, port=0, block=False) as explorer:  # type: ignore[union-attr]
        assert "clipdb" in fetched(explorer.url) and f'<iframe src="{explorer.url}"' in explorer._repr_html_()
        url = explorer.url
    with pytest.raises(OSError):
        fetched(url)


def test_what_cannot_be_served_is_said_in_one_line(shown_index: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "choose another with --port" in refused("serve", "-i", shown_index, "--port", port)
    assert "nowhere.clipdb" in refused("serve", "-i", tmp_path / "nowhere.clipdb", "--port", 0)
    assert "can't listen" in refused("serve", "-i", shown_index, "--port", 0, "--host", "192.0.2.1")
    assert not list(tmp_path.iterdir())
