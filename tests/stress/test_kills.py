"""A few kills, each verb at most once; `make stress` makes a thousand of them all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = ("merge", "ingest of more images", "export --replace", "import into a new index", "publication", "span")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_kills_lose_double_and_leave_nothing() -> None:
    command = [sys.executable, Path(__file__).with_name("kills.py"), "--kills", "6", "--verbs", *VERBS]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
