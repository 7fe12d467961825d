"""docs/own-data.md: its commands run one after another, and the four of them answer the question."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support import done, rows

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clipdb import demo

    monkeypatch.chdir(tmp_path)
    demo.write_scenes(Path("clipdb-demo/scenes"), 200, 11)
    commands = [shlex.split(line)[1:] for line in re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)]
    printed = [done(*command) for command in commands]
    assert len(commands) == 5 and "added 200, skipped 0, failed 0" in printed[0]
    colours = rows(Path("own.clipdb"), "select count(distinct metadata->>'colour') from images")[0][0]
    before, after, control = (float(number) for number in re.findall(r"\b[01]\.\d{3}\b", printed[3])[:3])
    assert before > 0.9 and after < control - 0.2  # the heads named for it matter, as many others don't
    assert len(printed[4].splitlines()) == 2 + colours
