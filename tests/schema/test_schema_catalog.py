from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from clipdb.errors import ClipdbError
from clipdb.schema import catalog
from clipdb.schema.catalog import CATALOG, connect, create, exists

HOLD = """
import sys; from pathlib import Path; from clipdb.schema.catalog import connect
connection = connect(Path(sys.argv[1]), read_only=sys.argv[2] == "read")
print("open", flush=True); sys.stdin.readline()
"""


@contextmanager
def held(index: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the catalog open until the block ends."""
    command = [sys.executable, "-c", HOLD, str(index), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()
        assert process.wait() == 0


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ClipdbError) as caught:
        act()
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def test_create_makes_a_whole_index_and_no_more(tmp_path: Path) -> None:
    index = tmp_path / "deep" / "a.clipdb"
    create(index)
    assert exists(index)
    assert sorted(path.name for path in index.iterdir()) == [CATALOG, "vectors"]
    assert [path.name for path in index.parent.iterdir()] == ["a.clipdb"]
    with connect(index) as connection:
        assert connection.execute("select version from clipdb_schema").fetchall() == [(catalog.SCHEMA_VERSION,)]


def test_create_takes_an_empty_directory_and_nothing_else(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    create(empty)
    assert "is an index already" in refusal(lambda: create(empty))
    other = tmp_path / "photos"
    other.mkdir()
    (other / "a.jpg").touch()
    assert "is not an index" in refusal(lambda: create(other))
    assert "is not an index" in refusal(lambda: create(other / "a.jpg"))
    assert [path.name for path in other.iterdir()] == ["a.jpg"]


def test_a_question_mark_in_the_name(tmp_path: Path) -> None:
    """DuckDB reads there, and would look for its log in another place."""
    create(tmp_path / "a.clipdb")
    odd = (tmp_path / "a.clipdb").rename(tmp_path / "what?.clipdb")
    said = "can't be written to: DuckDB takes what follows a ? for no path: rename the directory"
    assert refusal(lambda: connect(odd, read_only=False)) == f"{odd} {said}"
    assert refusal(lambda: create(tmp_path / "b?.clipdb")) == f"{tmp_path / 'b?.clipdb'} {said}"
    assert [path.name for path in tmp_path.iterdir()] == ["what?.clipdb"]
    with connect(odd) as connection:
        assert connection.execute("select version from clipdb_schema").fetchall() == [(catalog.SCHEMA_VERSION,)]


def test_create_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot make an index" in refusal(lambda: create(tmp_path / "file" / "a.clipdb"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_create_on_a_full_disk(tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = python(
        "import resource, sys; from pathlib import Path; from clipdb.schema import catalog\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: catalog.create(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)",
        tmp_path / "a.clipdb",
    )
    assert done.stdout.startswith("ClipdbError cannot make an index") and len(done.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs user ids")
def test_without_permission(index: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    closed = index / "vectors"
    closed.chmod(0o555)
    (index / CATALOG).chmod(0o444)
    for parent in index.parents:
        if parent.name.startswith(("pytest-", "popen-")) or parent.parent.name.startswith(("pytest-", "popen-")):
            parent.chmod(0o755)  # pytest keeps its folders to itself
    code = """
import os, sys; from pathlib import Path; import sqlalchemy, uuid, shutil
from clipdb.schema import catalog, ddl; from clipdb.errors import ClipdbError
ddl.ddl()
if os.getuid() == 0: os.setuid(65534)
index = Path(sys.argv[1])
made = index / "vectors" / "b.clipdb"
for act in (lambda: catalog.create(made), lambda: catalog.connect(index, read_only=False)):
    try: act()
    except ClipdbError as error: print(error)
catalog.connect(index).close(); print("reads")
"""
    done = python(code, index)
    assert done.stderr == ""
    made, opened, reads = done.stdout.splitlines()
    assert made.startswith("cannot make an index") and "ermission denied" in made
    assert "cannot be opened" in opened and "ermission denied" in opened
    assert reads == "reads"
    closed.chmod(0o755)


def test_what_is_not_an_index(tmp_path: Path) -> None:
    absent = tmp_path / "absent.clipdb"
    assert "`clipdb ingest images ...` or `clipdb demo`" in refusal(lambda: connect(absent))
    assert not absent.exists()
    (tmp_path / "file").write_text("hello")
    assert "is a file" in refusal(lambda: connect(tmp_path / "file"))
    assert f"no {CATALOG}" in refusal(lambda: connect(tmp_path))
    duckdb.connect(str(tmp_path / CATALOG)).close()
    assert "clipdb did not make" in refusal(lambda: connect(tmp_path))


@pytest.mark.parametrize("content", [b"", b"hello\n", b"hello\n" * 10_000])
def test_a_text_file_called_catalog(index: Path, content: bytes) -> None:
    (index / CATALOG).write_bytes(content)
    for read_only in (True, False):
        assert "is not a DuckDB file" in refusal(lambda read_only=read_only: connect(index, read_only))
    assert (index / CATALOG).read_bytes() == content


def test_a_truncated_or_scrambled_catalog(index: Path) -> None:
    whole = (index / CATALOG).read_bytes()
    scrambled = whole[:12_288] + bytes((byte + 17) % 256 for byte in whole[12_288:])
    for damaged in (whole[:5_000], whole[: len(whole) // 2], scrambled):
        (index / CATALOG).write_bytes(damaged)
        assert "is damaged: restore it from a copy" in refusal(lambda: connect(index))
    (index / CATALOG).write_bytes(whole)
    connect(index).close()


def test_a_reader_opens_after_a_writer_was_killed(index: Path, python: Callable[..., object]) -> None:
    python(
        "import os, sys; from pathlib import Path; from clipdb.schema.catalog import connect\n"
        "connection = connect(Path(sys.argv[1]), read_only=False)\n"
        "connection.execute(\"insert into texts values ('committed', 'a')\"); connection.begin()\n"
        "connection.execute(\"insert into texts values ('lost', 'b')\"); os.kill(os.getpid(), 9)",
        index,
    )
    log = index / f"{CATALOG}.wal"
    assert log.exists()
    with connect(index) as connection:
        assert connection.execute("select text_id from texts").fetchall() == [("committed",)]
    log.write_bytes(log.read_bytes()[:-40] + b"x" * 40)
    assert "is damaged" in refusal(lambda: connect(index))


@pytest.mark.parametrize(("theirs", "read_only"), [("write", True), ("read", False), ("write", False)])
def test_a_catalog_in_use_names_the_process(index: Path, theirs: str, read_only: bool) -> None:
    with held(index, theirs) as process:
        message = refusal(lambda: connect(index, read_only, wait=0.2))
    assert f"in use by process {process.pid} (" in message
    connect(index, read_only, wait=0).close()


def test_readers_do_not_wait_for_each_other(index: Path) -> None:
    with held(index, "read"), connect(index, wait=0) as connection:
        assert connection.execute("select count(*) from images").fetchone() == (0,)


def test_a_reader_waits_for_a_short_write(index: Path) -> None:
    code = HOLD.replace("sys.stdin.readline()", "import time; time.sleep(0.5)")
    with subprocess.Popen([sys.executable, "-c", code, str(index), "write"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with connect(index, wait=30) as connection:
            assert connection.execute("select count(*) from images").fetchone() == (0,)
            assert process.wait() == 0


def test_a_closed_connection_leaves_no_lock(index: Path) -> None:
    for read_only in (True, False):
        connect(index, read_only).close()
        with held(index, "write") as process:
            assert process.poll() is None


def test_looking_at_an_index_keeps_the_lock_of_an_open_connection(index: Path) -> None:
    # A process that opens and closes a file drops every POSIX lock that it has on it.
    with connect(index, read_only=False):
        assert exists(index)
        connect(index, read_only=False).close()
        command = [
            sys.executable,
            "-c",
            HOLD.replace("read_only=", "wait=0, read_only="),
            str(index),
            "write",
        ]
        done = subprocess.run(command, capture_output=True, text=True, input="", check=False)
    assert f"in use by process {os.getpid()}" in done.stderr


def test_two_uses_in_one_process(index: Path) -> None:
    with connect(index):
        before = time.monotonic()
        message = refusal(lambda: connect(index, read_only=False, wait=0.1))
        assert time.monotonic() - before >= 0.1
    assert "open in this process" in message


def test_nothing_is_fetched_from_the_network(index: Path) -> None:
    with connect(index) as connection:
        setting = connection.execute("select current_setting('autoinstall_known_extensions')").fetchone()
        assert setting == (False,)


def test_threads_of_one_process_open_a_catalog_at_once(tmp_path: Path) -> None:
    """One may be closing it as another opens it, and waits for that."""
    index = tmp_path / "a.clipdb"
    create(index)

    def open_once(_: int) -> None:
        connect(index, read_only=False).close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(open_once, range(1000))) == [None] * 1000
