"""docs/directions.md: every command runs, in the order of the page, and so does the SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_page import ran, text_of
from support import rows


def smaller(arguments: list[str]) -> list[str]:
    return [*arguments, "--scenes", "30", "--no-names"] if arguments[0] == "demo" else arguments


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, over fewer scenes."""
    with ran("directions.md", tmp_path_factory.mktemp("page"), smaller) as outputs:
        yield outputs


def test_weights_alone_tell_what_a_head_of_the_demo_is_for(printed: dict[str, str]) -> None:
    """The packaged model was trained so that this head sees where things are."""
    first = printed["clipdb query directions L4.H1 -i weights.clipdb"].splitlines()[2]
    assert "bottom" in first and "top" in first
    assert "principal" in printed["clipdb query directions L4.H1"]


def test_the_sql_of_the_page_runs(printed: dict[str, str]) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", text_of("directions.md"), re.DOTALL)
    found = rows(Path("clipdb-demo/demo.clipdb"), block)
    assert len(found) == 10 and all(row[5] > 0.8 for row in found)
