from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from clipdb.errors import ClipdbError
from clipdb.schema import duckdb_files
from clipdb.schema.catalog import SCHEMA_VERSION, connect, connect_writing, exists
from clipdb.schema.creation import create
from clipdb.schema.snapshots import CATALOG, SNAPSHOTS, WORK

HOLD = """
import sys; from pathlib import Path; from clipdb.schema.catalog import connect, connect_writing
connection = {"read": connect, "write": connect_writing}[sys.argv[2]](Path(sys.argv[1]))
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
    assert sorted(path.name for path in index.iterdir()) == [CATALOG, SNAPSHOTS, "vectors", WORK]
    assert [path.name for path in index.parent.iterdir()] == ["a.clipdb"]
    with connect(index) as connection:
        assert connection.execute("select version from clipdb_schema").fetchall() == [(SCHEMA_VERSION,)]


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
    assert refusal(lambda: connect_writing(odd)) == f"{odd} {said}"
    assert refusal(lambda: create(tmp_path / "b?.clipdb")) == f"{tmp_path / 'b?.clipdb'} {said}"
    assert [path.name for path in tmp_path.iterdir()] == ["what?.clipdb"]
    with connect(odd) as connection:
        assert connection.execute("select version from clipdb_schema").fetchall() == [(SCHEMA_VERSION,)]


def test_create_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot make an index" in refusal(lambda: create(tmp_path / "file" / "a.clipdb"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_create_on_a_full_disk(tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = python(
        "import resource, sys; from pathlib import Path; from clipdb.schema import creation\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: creation.create(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)",
        tmp_path / "a.clipdb",
    )
    assert done.stdout.startswith("ClipdbError cannot make an index") and len(done.stdout.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs user ids")
def test_without_permission(index: Path, python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    closed = index / "vectors"
    closed.chmod(0o555)
    (index / WORK).chmod(0o444)
    for parent in index.parents:
        if parent.name.startswith(("pytest-", "popen-")) or parent.parent.name.startswith(("pytest-", "popen-")):
            parent.chmod(0o755)  # pytest keeps its folders to itself
    code = """
import os, sys; from pathlib import Path; import sqlalchemy, uuid, shutil
from clipdb.schema import catalog, creation, ddl; from clipdb.errors import ClipdbError
ddl.ddl()
if os.getuid() == 0: os.setuid(65534)
index = Path(sys.argv[1])
made = index / "vectors" / "b.clipdb"
for act in (lambda: creation.create(made), lambda: catalog.connect_writing(index)):
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
    for file, open_it in ((CATALOG, connect), (WORK, connect_writing)):
        (index / file).write_bytes(content)
        assert "is not a DuckDB file" in refusal(lambda open_it=open_it: open_it(index))
        assert (index / file).read_bytes() == content


def test_a_truncated_or_scrambled_catalog(index: Path) -> None:
    whole = (index / CATALOG).read_bytes()
    scrambled = whole[:12_288] + bytes((byte + 17) % 256 for byte in whole[12_288:])
    for damaged in (whole[:5_000], whole[: len(whole) // 2], scrambled):
        (index / CATALOG).write_bytes(damaged)
        assert "is damaged: restore it from a copy" in refusal(lambda: connect(index))
    (index / CATALOG).write_bytes(whole)
    connect(index).close()


def test_a_damaged_log_of_a_killed_writer(index: Path, python: Callable[..., object]) -> None:
    python(
        "import os, sys; from pathlib import Path; from clipdb.schema.catalog import connect_writing\n"
        "connection = connect_writing(Path(sys.argv[1]))\n"
        "connection.execute(\"insert into texts values ('committed', 'a')\"); os.kill(os.getpid(), 9)",
        index,
    )
    log = index / f"{WORK}.wal"
    log.write_bytes(log.read_bytes()[:-40] + b"x" * 40)
    assert "is damaged" in refusal(lambda: connect_writing(index))
    connect(index).close()


def test_work_in_use_names_the_process(index: Path) -> None:
    """Writers keep each other out by their lock; this is somebody with DuckDB's own shell."""
    with held(index, "write") as process, pytest.MonkeyPatch.context() as patch:
        patch.setattr(duckdb_files, "WAIT_SECONDS", 0.2)
        assert f"in use by process {process.pid} (" in refusal(lambda: connect_writing(index))
    connect_writing(index).close()


def test_a_closed_connection_leaves_no_lock(index: Path) -> None:
    for open_it in (connect, connect_writing):
        open_it(index).close()
        with held(index, "write") as process:
            assert process.poll() is None


def test_looking_at_an_index_keeps_the_lock_of_an_open_connection(index: Path) -> None:
    # A process that opens and closes a file drops every POSIX lock that it has on it.
    with connect_writing(index):
        assert exists(index)
        connect_writing(index).close()
        connect(index).close()
        code = "from clipdb.schema import duckdb_files; duckdb_files.WAIT_SECONDS = 0" + HOLD
        command = [sys.executable, "-c", code, str(index), "write"]
        done = subprocess.run(command, capture_output=True, text=True, input="", check=False)
    assert f"in use by process {os.getpid()}" in done.stderr


def test_nothing_is_fetched_from_the_network(index: Path) -> None:
    with connect(index) as connection:
        setting = connection.execute("select current_setting('autoinstall_known_extensions')").fetchone()
        assert setting == (False,)


def test_threads_of_one_process_open_a_catalog_at_once(tmp_path: Path) -> None:
    """One may be closing it as another opens it, and waits for that."""
    index = tmp_path / "a.clipdb"
    create(index)

    def open_once(_: int) -> None:
        connect_writing(index).close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(open_once, range(1000))) == [None] * 1000
