"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clipdb._util.text import printable


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Write a table; a bar or a new line in a cell stays in its cell."""
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(content: Any) -> str:
    return printable(str(content)).replace("|", r"\|")
