"""Modules of other packages that can't be used are named in one line."""

from __future__ import annotations

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
