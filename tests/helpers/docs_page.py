"""Run the commands of a page of the docs, as a reader types them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import done

DOCS = Path(__file__).parents[2] / "docs"


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@contextmanager
def ran(page: str, folder: Path, smaller: Callable[[list[str]], list[str]]) -> Iterator[dict[str, str]]:
    """Run every command of a page in a folder, in order, and stay there; give what each line printed.

    `smaller` may change a command's arguments so that it computes less.
    """
    outputs: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "120")
        for line in re.findall(r"^\$ (.+)$", text_of(page), re.MULTILINE):
            program, *arguments = shlex.split(line)
            if program == "export":
                patch.setenv(*arguments[0].split("=", 1))
                continue
            assert program == "clipdb", line
            outputs[line] = done(*smaller(arguments))
        yield outputs
