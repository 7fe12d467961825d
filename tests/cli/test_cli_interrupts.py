"""Ctrl-C at any moment: 'Stopped.', exit code 130, and the session of a notebook goes on."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from interrupts import VERBS, command, interrupted, prepare

LATEST = 4.0
"""Seconds of CPU: torch is imported and the model loaded."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("interrupts")
    prepare(made)
    return made


@pytest.mark.parametrize("name", VERBS)
def test_ctrl_c_at_random_moments(name: str, folder: Path) -> None:
    moment = random.Random(name).uniform(0.2, LATEST)
    outcome = interrupted(command(VERBS[name], folder), moment)
    assert outcome.stopped, (moment, outcome)


NOTEBOOK = """
import os, signal, sys, threading
import clipdb

signal.signal(signal.SIGINT, signal.default_int_handler)
told = threading.Event()

class CtrlC:
    in_time = None

    def find_spec(self, name, path=None, target=None):
        if name == "torch.nn" and self.in_time is None:  # torch is half imported, and stays so until it is told
            os.kill(os.getpid(), signal.SIGINT)
            self.in_time = told.wait(60)

at_import = CtrlC()
sys.meta_path.insert(0, at_import)
with clipdb.open(sys.argv[1]) as db:
    ask = {
        "query": lambda: db.query.text_neighbours("a zebra", head="L3.H0").fetchall(),
        "statement": lambda: db.execute("from text_neighbours(null, 'L3.H0', 'a zebra'), range(3)").fetchall(),
        "rows": lambda: db.rows("text_neighbours", text="a zebra", head="L3.H0"),
        "segment": lambda: clipdb.segment(db, sys.argv[2], "a zebra").rows(),
    }[sys.argv[3]]
    try:
        ask()
    except KeyboardInterrupt:
        told.set()
    rows = len(ask())
    print("stopped,", at_import.in_time)
    print(rows, "rows")
"""


@pytest.mark.parametrize("how", ["query", "statement", "rows", "segment"])
def test_python_gets_keyboard_interrupt_and_goes_on(how: str, folder: Path) -> None:
    """While torch is imported, which would be left half imported."""
    index, image = folder / "demo" / "demo.clipdb", min((folder / "more").glob("*.png"))
    script = [sys.executable, "-c", NOTEBOOK, str(index), str(image), how]
    ended = subprocess.run(script, capture_output=True, text=True)
    expected = {"query": 10, "statement": 30, "rows": 10, "segment": 65}[how]
    assert (ended.returncode, ended.stdout) == (0, f"stopped, True\n{expected} rows\n"), ended.stderr
