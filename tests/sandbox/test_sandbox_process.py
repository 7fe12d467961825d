"""The processes of a sandbox: what they have, how they end, and that nothing that they say is believed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from built_index import build
from support import alive, change, children, until

from clipdb.errors import ClipdbError
from clipdb.sandbox import Sandbox, worker
from clipdb.sandbox.worker import Worker


def test_they_have_nothing(place: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPDB_LLM_KEY", "sk-secret")
    with (outside / "secret.txt").open() as opened:
        os.set_inheritable(opened.fileno(), True)
        asked = Worker(place, None)
        assert asked.ask("select 1").rows == [(1,)]
    proc = Path(f"/proc/{asked.pid}")
    assert (proc / "environ").read_bytes() == b""
    assert (proc / "cwd").readlink() == Path("/")
    targets = {str(file.readlink()) for file in (proc / "fd").iterdir()}
    assert not [name for name in targets if name.startswith("/") and not name.startswith((str(place), "/dev/null"))]
    limits = dict((line[:25].strip(), line[26:46].strip()) for line in (proc / "limits").read_text().splitlines())
    assert limits["Max file size"] == limits["Max core file size"] == "0"
    assert 2 * 2**30 < int(limits["Max address space"]) < 8 * 2**30 and int(limits["Max cpu time"]) < 20
    asked.end()


DIRECT = """
import sys
from clipdb.sandbox.locked_index import LockedIndex
index = LockedIndex(sys.argv[1], None)._index
for sql in sys.argv[2:]:
    try:
        index.execute(sql).fetchall()
    except Exception as error:
        print(type(error).__name__)
    else:
        print("ran")
"""


def test_settings_hold_by_themselves(place: Path, outside: Path) -> None:
    """Were a statement to pass that names a file, DuckDB's own settings and the system's limits would refuse it."""
    outsiders = [
        f"from read_text('{outside}/secret.txt')", f"from '{outside}/secret.csv'", f"from read_csv('{outside}/*.csv')",
        f"copy (select 1) to '{outside}/out'", f"attach '{outside}/new.duckdb'", f"export database '{outside}/out'",
        f"from glob('{outside}/*')", "load httpfs", "install httpfs", "from read_text('/proc/self/environ')",
        "create secret a (type s3)", "create persistent secret a (type s3)",
    ]  # fmt: skip
    settings = [
        "set threads = 8",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset threads",
    ]
    asked = [sys.executable, "-c", DIRECT, str(place), *outsiders, *settings, "select 1"]
    ran = subprocess.run(
        asked, capture_output=True, text=True, check=True, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    said = ran.stdout.split()
    assert "ran" not in said[:-1] and said[-1] == "ran", list(zip(asked[4:], said, strict=True))
    assert not list(outside.glob("out*")) and not list(outside.glob("new*"))


FULL = """
import sys
from clipdb.sandbox.locked_index import LockedIndex
index = LockedIndex(sys.argv[1], None)
print(*index.answer("select 1"))
kept = b"a" * 1_200_000_000
print(*index.answer("select 1"))
"""


def test_a_process_that_keeps_much_is_not_asked_again(one_index: Path) -> None:
    asked = [sys.executable, "-c", FULL, str(one_index)]
    ran = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert [line.endswith('"spent": true}') for line in ran.stdout.splitlines()] == [False, True], ran.stdout


LIES = [
    "import pickle, sys; sys.stdout.buffer.write(pickle.dumps({'error': None}))",
    "print('{\"error\": null}'); print('[' * 100000, flush=True); input()",
    "print('{\"error\": null}'); print('x' * 30_000_000, flush=True); input()",
    "print('{\"error\": null}')\nwhile True: print('[]')",
    'print(\'{"error": null}\'); print(\'{"names": [1], "types": [2]}\'); print(\'{"spent": false, "error": null}\')',
    'print(\'{"error": null}\'); print(\'[[1]]\'); print(\'{"spent": false, "error": null, "cut": false}\')',
    "print('{\"error\": null}'); print('null', flush=True); input()",
    "print('{\"error\": null}'); print('{\"spent\": 0}', flush=True); input()",
    "print('{\"error\": \"\\\\u001b[31m\\\\na' + 'b' * 5000 + '\"}', flush=True)",
    "import os; os._exit(0)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
]


@pytest.mark.parametrize("lie", LIES)
def test_a_process_that_lies_is_believed_nothing(one_index: Path, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_PROGRAM", lie.replace("{", "{{").replace("}", "}}"))
    asked = Worker(one_index, None)
    with pytest.raises(ClipdbError) as error:
        asked.ask("select 1")
    line = str(error.value)
    assert line.isprintable() and len(line) <= 1000
    assert not asked.usable
    asked.end()


def test_threads_ask_at_once(one_index: Path) -> None:
    before = _processes()
    with Sandbox(one_index, at_once=3) as sandbox, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: sandbox.ask(f"select {n}, count(*) from heads").rows, range(40)))
        assert answers == [[(n, 6)] for n in range(40)]
        assert len(_processes()) - len(before) <= 4


def test_a_spare_process_is_ready_when_one_dies(one_index: Path) -> None:
    before = set(_processes())
    with Sandbox(one_index) as sandbox:
        assert sandbox.ask("select 1").rows == [(1,)]
        for process in set(_processes()) - before:
            os.kill(process, signal.SIGKILL)
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert sandbox.ask("select 1").rows == [(1,)]
        assert len(set(_processes()) - before) == 2
    assert set(_processes()) == before
    with pytest.raises(ClipdbError, match="the sandbox is closed"):
        sandbox.ask("select 1")


def test_answers_are_of_the_newest_state(tmp_path: Path) -> None:
    built = build(tmp_path / "own.clipdb")
    with Sandbox(built.path, spare=False) as sandbox:
        assert sandbox.ask("select count(*) from labels where property = 'new'").rows == [(0,)]
        change(built.path, "update labels set property = 'new'")
        assert sandbox.ask("select count(*) > 0 from labels where property = 'new'").rows == [(True,)]


def test_processes_end_with_the_one_that_asks(one_index: Path) -> None:
    program = (
        "import sys; from clipdb.sandbox import Sandbox; sandbox = Sandbox(sys.argv[1]); "
        "sandbox.ask('select 1'); print('ready', flush=True); input()"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", program, str(one_index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert asking.stdout is not None and asking.stdout.readline() == b"ready\n"
    started = children(asking.pid)
    assert len(started) == 2
    asking.kill()
    asking.communicate()
    assert until(lambda: not any(map(alive, started)))


def test_what_can_t_be_asked_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClipdbError, match="untrusted SQL has no network"):
        Sandbox("https://example.org/export")
    with Sandbox(tmp_path / "none", spare=False) as sandbox, pytest.raises(ClipdbError, match="no index at "):
        sandbox.ask("select 1")
    with Sandbox(tmp_path, spare=False) as sandbox, pytest.raises(ClipdbError, match="is not an index"):
        sandbox.ask("select 1")


def _processes() -> list[int]:
    return children(os.getpid())
