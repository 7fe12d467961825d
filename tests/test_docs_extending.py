"""docs/extending.md: its package, written down and installed as the page says, and every command on the page."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ (clipdb .*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's package in a folder of its own, as pip would put it."""
    source, site = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("site")
    for name, content in FILES:
        place = source / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
        source,
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return site


def run(site: Path, folder: Path, index: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), *sys.path]), "CLIPDB_INDEX": str(index)}
    arguments = [sys.executable, "-m", *command]
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_kind_of_the_page_has_a_file() -> None:
    kinds = set(re.findall(r"entry-points\.\"clipdb\.(\w+)\"", PAGE))
    assert kinds == {"queries", "views", "labellers", "judges", "functions", "formats", "towers"}
    assert len(FILES) == len(kinds) + 1 and len(COMMANDS) == len(kinds) - 1


def test_every_command_of_the_page_runs(installed: Path, own_index: Path, tmp_path: Path) -> None:
    told = {}
    for command in COMMANDS:
        as_json = ["-f", "json"] if 'query "' in command else []
        ran = run(installed, tmp_path, own_index, *shlex.split(command), *as_json)
        assert ran.returncode == 0, (command, ran.stderr)
        told[command] = ran.stdout
    (longest,) = (json.loads(told[command]) for command in COMMANDS if "longest" in command)
    assert len(longest) == 3 and longest[0]["length"] >= longest[1]["length"] >= longest[2]["length"] > 0
    (shares,) = (json.loads(told[command]) for command in COMMANDS if "property_variance" in command)
    assert sum(row["heads"] for row in shares) == 24
    page = (tmp_path / "heads.html").read_text()
    assert page.startswith("<table>\n<tr><th>model_id</th>") and page.count("<tr>") == 6


def test_what_the_package_brings_is_listed(installed: Path, own_index: Path, tmp_path: Path) -> None:
    assert "strong-spans" in run(installed, tmp_path, own_index, "clipdb", "query", "--list").stdout
    for verb, name in (("label", "keyword"), ("judge", "mentioned")):
        assert name in run(installed, tmp_path, own_index, "clipdb", verb, "--help").stdout
    families = "from clipdb.models.towers import families; print([family.__name__ for family in families()])"
    ran = subprocess.run(
        [sys.executable, "-c", families],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "['OpenClipClassToken', 'LargePatches']\n"


def test_a_name_that_is_taken_is_refused(installed: Path, own_index: Path, tmp_path: Path) -> None:
    (entries,) = installed.glob("clipdb_mine-*.dist-info/entry_points.txt")
    written = entries.read_text()
    try:
        entries.write_text(written.replace("keyword =", "vote ="))
        ran = run(installed, tmp_path, own_index, "clipdb", "label", "--labeller", "vote")
    finally:
        entries.write_text(written)
    assert ran.returncode == 1 and len(ran.stderr.splitlines()) == 1, ran.stderr
    assert "the entry point vote of clipdb.labellers (clipdb_mine.keyword) has the name of another" in ran.stderr
