"""Modules of other packages that can't be used are named in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipdb.errors import ClipdbError
from clipdb.plugins import member_of


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("def write(:", "SyntaxError: invalid syntax"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'mine' has no attribute 'write'"),
    ],
)
def test_what_is_wrong_with_a_module(content: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    with pytest.raises(ClipdbError) as caught:
        member_of("formats", "mine", "write")
    message = str(caught.value)
    assert message.startswith(f"mine (clipdb.formats) can't be used: {why}")
    assert message.endswith(": correct it or uninstall it") and "\n" not in message


def test_what_cannot_be_imported_stops_only_what_names_it(ready_index: Path, tmp_path: Path) -> None:
    """A distribution whose modules are gone, and whose entry points are read as pip leaves them."""
    information = tmp_path / "clipdb_gone-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: clipdb-gone\nVersion: 1\n")
    kinds = ("formats", "queries", "sources", "towers")
    (information / "entry_points.txt").write_text("".join(f"[clipdb.{kind}]\ngone = gone.{kind}\n" for kind in kinds))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, words)]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    query = ("-m", "clipdb", "query", "heads", "-i", ready_index)
    ran = run(*query, "-o", "heads.csv")
    assert ran.returncode == 0 and (tmp_path / "heads.csv").exists()
    notes = [line for line in ran.stderr.splitlines() if "clipdb-gone" in line]
    assert len(notes) == 2 and all(line.endswith("correct it or uninstall clipdb-gone") for line in notes), notes
    ran = run(*query, "-f", "gone")
    assert ran.returncode == 1
    assert "Error: gone.formats (clipdb.formats) can't be used: ModuleNotFoundError" in ran.stderr
    imported = (
        "from clipdb.ingest.images.sources import source_kinds; from clipdb.models.towers import families; "
        "print(len(source_kinds()) > 3, len(families()) > 3)"
    )
    ran = run("-c", imported)
    assert ran.stdout == "True True\n" and ran.stderr.count("uninstall clipdb-gone") == 2, ran.stderr
