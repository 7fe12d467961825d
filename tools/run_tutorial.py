"""Run the commands of docs/tutorial.md in a new folder and write down what they print.

    python tools/run_tutorial.py

What is printed after `...` isn't shown. Commands about photographs, or weights from the network, run with what stands
in for them, and show no output.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
WIDTH = 100
HOME = "/home/ada/clipdb"
"""What the page calls the folder that the commands run in."""
PICTURES = {"colour.png": "alike-in-colour.png", "whole.png": "alike-overall.png"}
"""Contact sheets that the page shows, by their names in docs/images."""

STANDS_IN = {"photos/": "clipdb-demo/scenes", "ViT-B-32/openai": "clipdb-tiny/scenes"}
CUT = "..."
_PROGRESS = re.compile(r"^(loading the model|(images|texts|heads) \d+).*\n", re.MULTILINE)
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


Start = Callable[[list[str], Path, dict[str, str]], tuple[int, str, str]]
"""Runs words in a folder with an environment: gives the exit code, stdout and stderr."""


def as_process(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    """Run a command as a shell does."""
    ran = subprocess.run([sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True)
    return ran.returncode, ran.stdout, ran.stderr


def write(page: str, folder: Path, start: Start = as_process) -> str:
    """Give the page with what its commands print in a folder."""
    environment = os.environ | {"COLUMNS": str(WIDTH), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    environment.pop("CLIPDB_INDEX", None)

    def block(match: re.Match[str]) -> str:
        return f"```console\n{rewritten(match[1], lambda command: run(command, folder, environment, start))}```"

    return _BLOCK.sub(block, page)


def rewritten(block: str, printed: Callable[[str], str]) -> str:
    """Give a block with what its commands print."""
    parts = []
    for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        output = printed(command)
        if CUT in shown.splitlines():
            kept = len(shown.splitlines()) - 1
            output = "".join(f"{line}\n" for line in [*output.splitlines()[:kept], CUT])
        parts.append(f"$ {command}\n{output}")
    return "".join(parts)


def run(command: str, folder: Path, environment: dict[str, str], start: Start) -> str:
    """Run a command of the page; an export changes the environment of those that follow."""
    words = shlex.split(command)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        environment[name] = value
        return ""
    arguments = [STANDS_IN.get(word, word) for word in words[1:]]
    code, output, errors = start([words[0], *arguments], folder, environment)
    if code:
        raise SystemExit(f"{command}: {errors}")
    if arguments != words[1:]:
        return ""
    notes = _PROGRESS.sub("", errors)  # said every half minute, on a busy machine
    return (output + notes).replace(str(folder.resolve()), HOME)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        PAGE.write_text(write(PAGE.read_text(encoding="utf-8"), Path(place)), encoding="utf-8")
        for sheet, picture in PICTURES.items():
            shutil.copy(Path(place) / sheet, ROOT / "docs" / "images" / picture)
