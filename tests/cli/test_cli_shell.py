"""The shell: question after question in one process."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from interrupts import cpu
from support import change, done, until

from clipdb import _open
from clipdb.cli import main


@pytest.fixture(autouse=True)
def models_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_open, "_kept", None)


LONG = "select count(*) from range(1000000) a, range(1000000) b where a.range * b.range % 7 = 3"


def shell(index: Path, *lines: str) -> Result:
    return CliRunner().invoke(main, ["shell", "-i", str(index)], input="\n".join(lines))


def test_lines_are_verbs_names_of_queries_or_sql(ready_index: Path) -> None:
    result = shell(
        ready_index,
        "query heads -n 2 -f csv",
        "# a remark",
        "",
        "heads -n 1 -f jsonl",
        "select name from heads where name like 'L4%' and head < 2 order by 1",
        "  from models select model_id  ",
        "quit",
        "select 1 / 0",
    )
    assert (result.exit_code, result.stderr) == (0, "")
    expected = done("query", "heads", "-n", 2, "-f", "csv", "-i", ready_index)
    expected += done("query", "heads", "-n", 1, "-f", "jsonl", "-i", ready_index)
    expected += done("query", "select name from heads where name like 'L4%' and head < 2 order by 1", "-i", ready_index)
    assert result.stdout == expected + done("query", "from models select model_id", "-i", ready_index)


def test_the_model_is_loaded_once(ready_index: Path, pictures: list[Path]) -> None:
    image = pictures[0]
    questions = [f'explain {image} "a {animal}" -n 1 -f csv' for animal in ("zebra", "heron")]
    result = shell(ready_index, *questions, f'segment {image} --text "a zebra" -n 1 -f csv')
    assert result.exit_code == 0, result.stderr
    assert _open._kept is not None and len(_open._kept) == 1
    apart = [
        done("explain", image, f"a {animal}", "-n", 1, "-f", "csv", "-i", ready_index) for animal in ("zebra", "heron")
    ]
    assert result.stdout.startswith("".join(apart))


def test_another_models_weights_are_not_taken_for_its_own(ready_index: Path, own_index: Path) -> None:
    change(own_index, "update models set weights_sha256 = repeat('0', 64)")
    question = 'text-neighbours "a zebra" --head L4.H1 -n 1'
    result = shell(ready_index, question, f"{question} -i {own_index}")
    assert result.exit_code == 1 and "other weights" in result.stderr


def test_the_index_is_free_between_questions(own_index: Path, pictures: list[Path]) -> None:
    """A reader that stayed would hold up every writer."""
    with typed(own_index) as (process, terminal):
        read_until(terminal, b"clipdb> ")
        os.write(terminal, b"select 41 + 1 as answer\n")
        read_until(terminal, b"42")
        read_until(terminal, b"clipdb> ")
        done("label", "--pool", "scenes", "-i", own_index)
        os.write(terminal, b"\x04")
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("bogus", 1, "no query is called 'bogus'"),
        ("select nothing", 1, "Binder Error"),
        ("query 'oops", 2, "No closing quotation"),
        ("span --pool scenes", 2, "the shell only reads: run `clipdb span --pool scenes` outside of it"),
        ("head", 2, "head needs --head"),
        ("explain nosuch.png zebra", 1, "no image 'nosuch.png'"),
        ("heads --nosuch", 2, "No such option"),
    ],
)
def test_a_failure_is_said_and_the_shell_goes_on(ready_index: Path, line: str, code: int, message: str) -> None:
    result = shell(ready_index, line, "select 41 + 1 as answer")
    assert result.exit_code == code and message in result.stderr and "Traceback" not in result.stderr
    assert "42" in result.stdout


def test_help(ready_index: Path) -> None:
    assert "Ctrl-C stops a question" in shell(ready_index, "help").stdout
    assert shell(ready_index, "help heads").stdout.startswith("Usage: clipdb query heads")
    assert shell(ready_index, "help explain").stdout.startswith("Usage: clipdb explain")


@contextmanager
def typed(index: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A shell in a terminal."""
    terminal, its_end = pty.openpty()
    environment = {**os.environ, "HOME": str(index.parent), "XDG_CONFIG_HOME": str(index.parent), "TERM": "dumb"}
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from clipdb._start import main; "
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code} main()", "shell", "-i", str(index)],
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        env=environment,
        start_new_session=True,
    )
    os.close(its_end)
    try:
        yield process, terminal
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def read_until(terminal: int, awaited: bytes) -> bytes:
    shown = b""
    while awaited not in shown:
        shown += os.read(terminal, 4096)
    return shown


def test_ctrl_c_stops_the_question_and_not_the_shell(own_index: Path, pictures: list[Path]) -> None:
    with typed(own_index) as (process, terminal):
        read_until(terminal, b"clipdb> ")
        for question in (f'explain {pictures[0]} "a zebra"', LONG):
            os.write(terminal, question.encode() + b"\n")
            read_until(terminal, b"\n")  # its echo
            begun = cpu(process.pid)
            assert until(lambda begun=begun: cpu(process.pid) > begun + 1)
            os.kill(process.pid, signal.SIGINT)
            assert b"Error" not in read_until(terminal, b"Stopped.")
            read_until(terminal, b"clipdb> ")
        os.kill(process.pid, signal.SIGINT)  # at the prompt
        read_until(terminal, b"clipdb> ")
        os.write(terminal, b"select 41 + 1 as answer\n")
        read_until(terminal, b"42")
        read_until(terminal, b"clipdb> ")
        os.write(terminal, b"quit\n")
        assert process.wait(60) == 0
    assert (own_index.parent / "clipdb" / "shell_history").is_file()
