"""`clipdb label` as people type it: what goes together, what is missing, and what is imported for it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_server import KEY, serving
from span_index import span_index
from support import clipdb, done, refused, rows

LLM = ("label", "--labeller", "llm", "--pool", "plain", "--llm-model", "small", "--retries", 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return span_index(tmp_path_factory.mktemp("made") / "spans.clipdb", heads=2)


@pytest.fixture
def index(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Path(shutil.copytree(made, tmp_path / "spans.clipdb"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--labeller", "llm"), "--labeller llm needs a model: add --llm-model NAME"),
        (("--labeller", "llm", "--dry-run"), "--labeller llm needs a model: add --llm-model NAME"),
        (("--llm-model", "small"), "--llm-model is for a language model: add --labeller llm"),
        (("--dry-run",), "--dry-run is for a language model: add --labeller llm"),
        (("--open",), "--open is for a language model: add --labeller llm"),
        (("--repeats", "1"), "--repeats is for a language model: add --labeller llm"),
        (("--labeller", "llm", "--llm-model", "m", "--open", "--vocabulary", "f"), "--open and --vocabulary don't go"),
        (("--labeller", "llm", "--llm-model", "m", "--concurrency", "0"), "0 is not in the range 1<=x<=64"),
        (("--labeller", "llm", "--llm-model", "m", "--timeout", "0"), "0.0 is not in the range 0.1<=x<=3600"),
        (("--labeller", "llm", "--llm-model", "m", "--timeout", "inf"), "inf is not in the range 0.1<=x<=3600"),
        (("--labeller", "llm", "--llm-model", "m", "--timeout", "nan"), "'--timeout': nan is not a number."),
        (("--labeller", "llm", "--llm-model", "m", "--temperature", "nan"), "'--temperature': nan is not a number."),
        (("--labeller", "llm", "--llm-model", " "), "--llm-model ' ' isn't a valid name"),
        (("--labeller", "llm", "--llm-model", "a\nb"), "--llm-model 'a\\nb' isn't a valid name"),
        (("--labeller", "human"), "'human' is not one of 'vote', 'zero-shot', 'evidence', 'llm'"),
    ],
)
def test_what_does_not_go_together(index: Path, arguments: tuple[str, ...], says: str) -> None:
    result = clipdb("label", "--pool", "plain", "-i", index, *arguments)
    assert result.exit_code == 2 and says in result.stderr
    assert rows(index, "from labels") == []


def test_vote_is_as_it_was(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")  # which is of no interest to it
    assert done("label", "--labeller", "vote", "--pool", "plain", "-i", index) == (
        f"{index}: 2 heads labelled by vote, 0 without a tagged span\n"
    )


def test_no_key(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(*LLM, "-i", index) == (
        "no key in $OPENAI_API_KEY: set it, or name a server of your own with --base-url"
    )
    assert "no key in $MY_KEY: set it, or leave out --key-env" in refused(
        *LLM, "-i", index, "--key-env", "MY_KEY", "--base-url", "http://localhost:1/v1"
    )
    monkeypatch.setenv("MY_KEY", "two words")
    line = refused(*LLM, "-i", index, "--key-env", "MY_KEY")
    assert line.startswith("what is in $MY_KEY is no key") and "two" not in line
    assert rows(index, "select count(*) from runs where command = 'label'") == [(0,)]


def test_where_the_key_and_the_server_come_from(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert "2 heads labelled" in done(*LLM, "-i", index)
        monkeypatch.setenv("MY_KEY", f"{KEY}\n")
        assert "2 heads labelled" in done(*LLM, "-i", index, "--key-env", "MY_KEY", "--open")
    sent = [one.headers["authorization"] for one in server.asked]
    assert sent == ["Bearer none"] * 2 + [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize(
    "url", ["localhost:11434", "ftp://host/v1", "http://", "http://host:port/v1", "http://[::1", "http://h/v1?key=abc"]
)
def test_no_address(index: Path, url: str) -> None:
    assert refused(*LLM, "-i", index, "--base-url", url) == (
        "--base-url is no address of a server: write it as http://localhost:11434/v1, without a query"
    )


@pytest.mark.parametrize("module", ["openai", "pydantic"])
def test_without_the_extra_it_is_named(index: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    problem = refused(*LLM, "-i", index, "--base-url", "http://localhost:1/v1")
    assert re.fullmatch(rf'{module} is not installed: run pip install (-e )?"\S+\[llm\]( @ \S+)?"', problem)


def test_no_index(tmp_path: Path) -> None:
    assert "no index at" in refused(*LLM, "--dry-run", "-i", tmp_path / "x.clipdb")
    assert "no index at" in refused(*LLM, "-i", tmp_path / "x.clipdb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["label", "--help"], ["judge", "--help"], ["label", "--labeller", "vote", "--pool", "plain"]]
)
def test_the_sdk_is_imported_where_it_is_used(index: Path, arguments: list[str]) -> None:
    if "--help" not in arguments:
        arguments = [*arguments, "-i", str(index)]
    code = (
        "import sys\nfrom clipdb.cli import main\n"
        f"try:\n    main({arguments!r})\n"
        "finally:\n    print(sorted({'openai', 'pydantic', 'httpx2', 'torch'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n" and result.stdout
