"""docs/labels.md: every command runs, in the order of the page; a quick server answers in place of the one it names."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hostile_server import Asked, Sent, chat, named, serving
from support import rows

PAGE = (Path(__file__).parents[1] / "docs" / "labels.md").read_text(encoding="utf-8")
SERVER = "http://localhost:11434/v1"
TYPED = "a\nr\nlook\nx\nq\n"
FILES = re.findall(r"^`(\w+\.csv)`\n\n```csv\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def answer(asked: Asked) -> Sent:
    """Name a head, or judge its descriptions, as the page's commands ask; a real server does in test_llm_llama.py."""
    if "property" not in asked.data:
        return named(asked, property=("colour", "shape")[int(asked.head[-1]) % 2])
    return chat(json.dumps({"head": asked.head} | dict.fromkeys(asked.data["descriptions"], "yes")))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed."""
    from clipdb.cli import main

    outputs: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch, serving(answer) as server:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for name, content in FILES:
            Path(name).write_text(content)
        for line in re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE):
            program, *arguments = shlex.split(line)
            if program == "export":
                patch.setenv(*arguments[0].split("="))
                continue
            assert program == "clipdb", line
            arguments = [server.url if one == SERVER else one for one in arguments]
            arguments += ["--scenes", "60", "--no-names"] if arguments == ["demo"] else []
            result = CliRunner().invoke(main, arguments, input=TYPED)
            assert result.exit_code == 0, (line, result.output, result.exception)
            outputs[line] = result.output
        yield outputs


def test_answers_are_asked_for_once(printed: dict[str, str]) -> None:
    dry, first, again = (text for line, text in printed.items() if line.startswith("clipdb label --labeller llm"))
    assert "24 calls" in dry
    found = (
        "select run, count(*), count_if(status = 'ok') from labels "
        "where labeller like 'llm:%' group by run order by run"
    )
    counts = rows(Path("clipdb-demo/demo.clipdb"), found)
    assert counts[0][1] == 24 and sum(ok for *_, ok in counts) <= 3 * 24
    assert "24" in first and again


def test_chance_of_a_language_model_is_known_once_it_was_asked(printed: dict[str, str]) -> None:
    dry, asked = (text for line, text in printed.items() if line.startswith("clipdb judge") and "--chance" in line)
    (calls,) = re.findall(r": (\d+) calls of llm:qwen3", dry)
    assert f"{calls} pairs of a head and a name judged by llm:qwen3" in asked and calls == "24"  # of two names
    chance = "select chance, undecided_pairs from source_association where judge = labeller and judge = 'llm:qwen3'"
    assert rows(Path("clipdb-demo/demo.clipdb"), chance) == [(1.0, 0)]  # the server says yes to all


def test_people_come_first(printed: dict[str, str]) -> None:
    assert "3 heads decided by human:ada, 17 left" in printed["clipdb review --reviewer ada --sample 20 --seed 0"]
    people = "select count(*) from head_properties where labeller = 'human:ada'"
    assert rows(Path("clipdb-demo/demo.clipdb"), people) == [(2,)]
    decided = "select status, count(*) from labels where labeller = 'human:ada' group by all order by all"
    assert rows(Path("another.clipdb"), decided) == [("ok", 2), ("rejected", 1)]


def test_what_is_published_can_be_asked(printed: dict[str, str]) -> None:
    assert "import:paper" in printed["clipdb query heads -i paper.clipdb"]
    assert "0.667" in printed["clipdb query entanglement -i paper.clipdb"]
    assert "note: chance is empty: the names are from no pool" in printed["clipdb query entanglement -i paper.clipdb"]


def test_all_sources_are_compared(printed: dict[str, str]) -> None:
    table = printed["clipdb query scoreboard"]
    assert all(source in table for source in ("current", "zero-shot", "vote", "llm:", "human:ada"))
    assert Path("scoreboard.png").read_bytes().startswith(b"\x89PNG")
