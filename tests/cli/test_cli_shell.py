"""The shell: question after question in one process."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from interrupts import cpu
from support import change, done, until

from clipdb.api import opening
from clipdb.cli import main


@pytest.fixture(autouse=True)
def models_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_kept", None)


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
    assert opening._kept is not None and len(opening._kept) == 1
    apart = [
        done("explain", image, f"a {animal}", "-n", 1, "-f", "csv", "-i", ready_index) for animal in ("zebra", "heron")
    ]
    assert result.stdout.startswith("".join(apart))


def test_another_models_weights_are_not_taken_for_its_own(ready_index: Path, own_index: Path) -> None:
    change(own_index, "update models set weights_sha256 = repeat('0', 64), tensors_sha256 = repeat('0', 64)")
    question = 'text-neighbours "a zebra" --head L4.H1 -n 1'
    result = shell(ready_index, question, f"{question} -i {own_index}")
    assert result.exit_code == 1 and "other weights" in result.stderr


def test_the_index_is_free_between_questions(own_index: Path, pictures: list[Path]) -> None:
    """A reader that stayed would hold up every writer."""
    with Terminal(own_index) as terminal:
        terminal.until("clipdb> ")
        terminal.type("select 41 + 1 as answer\n")
        terminal.until("42")
        terminal.until("clipdb> ")
        done("label", "--pool", "scenes", "-i", own_index)
        terminal.type("\x04")
        assert terminal.process.wait(60) == 0


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("bogus", 1, "no query is called 'bogus'"),
        ("segmnt photo.png zebra", 2, "nothing is called 'segmnt': did you mean segment?"),
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


class Terminal:
    """A shell in a terminal."""

    def __init__(self, index: Path) -> None:
        self._side, its_side = pty.openpty()
        self._unread = b""
        environment = {**os.environ, "HOME": str(index.parent), "XDG_CONFIG_HOME": str(index.parent), "TERM": "dumb"}
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{code} from clipdb.__main__ import main; main()", "shell", "-i", str(index)],
            stdin=its_side,
            stdout=its_side,
            stderr=its_side,
            env=environment,
            start_new_session=True,
        )
        os.close(its_side)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._side)

    def type(self, line: str) -> None:
        os.write(self._side, line.encode())

    def until(self, awaited: str, seconds: float = 120) -> str:
        """Read on up to some text."""
        while awaited.encode() not in self._unread:
            assert select.select([self._side], [], [], seconds)[0], self._unread
            self._unread += os.read(self._side, 4096)
        before, self._unread = self._unread.split(awaited.encode(), 1)
        return before.decode()


def test_ctrl_c_stops_the_question_and_not_the_shell(own_index: Path, pictures: list[Path]) -> None:
    with Terminal(own_index) as terminal:
        pid = terminal.process.pid
        terminal.until("clipdb> ")
        for question in (f'explain {pictures[0]} "a zebra"', LONG):
            terminal.type(f"{question}\n")
            terminal.until("\n")  # its echo
            begun = cpu(pid)
            assert until(lambda begun=begun: cpu(pid) > begun + 1)
            os.kill(pid, signal.SIGINT)
            assert "Error" not in terminal.until("Stopped.")
            terminal.until("clipdb> ")
        time.sleep(0.5)  # readline loses a signal that comes between its prompt and its wait for a key
        os.kill(pid, signal.SIGINT)  # at the prompt
        terminal.until("clipdb> ")
        terminal.type("select 41 + 1 as answer\n")
        terminal.until("42")
        terminal.until("clipdb> ")
        terminal.type("quit\n")
        assert terminal.process.wait(60) == 0
    assert (own_index.parent / "clipdb" / "shell_history").is_file()
