"""docs/directions.md: every command runs, in the order of the page, and so does the SQL."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import done, rows

PAGE = (Path(__file__).parents[1] / "docs" / "directions.md").read_text(encoding="utf-8")
SMALLER = {"demo": ["--scenes", "30", "--no-names"]}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, over fewer scenes."""
    outputs: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        patch.setenv("COLUMNS", "120")
        for line in re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE):
            program, *arguments = shlex.split(line)
            if program == "export":
                patch.setenv(*arguments[0].split("=", 1))
                continue
            assert program == "clipdb", line
            outputs[line] = done(*arguments, *SMALLER.get(arguments[0], []))
        yield outputs


def test_weights_alone_tell_what_a_head_of_the_demo_is_for(printed: dict[str, str]) -> None:
    """The packaged model was trained so that this head sees where things are."""
    first = printed["clipdb query directions L4.H1 -i weights.clipdb"].splitlines()[2]
    assert "bottom" in first and "top" in first
    assert "principal" in printed["clipdb query directions L4.H1"]


def test_the_sql_of_the_page_runs(printed: dict[str, str]) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    found = rows(Path("clipdb-demo/demo.clipdb"), block)
    assert len(found) == 10 and all(row[5] > 0.8 for row in found)
