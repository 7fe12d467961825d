"""Readers hold a state for as long as they like, and never wait for a writer, nor a writer for them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from older_index import without_snapshots
from support import done

from clipdb.errors import ClipdbError
from clipdb.schema import snapshots
from clipdb.schema.catalog import changing, connect, connect_writing, release
from clipdb.schema.snapshots import CATALOG, SNAPSHOTS, WORK

HOLD = """
import sys; from pathlib import Path; from clipdb.schema.catalog import connect
connection = connect(Path(sys.argv[1]))
print("open", flush=True); sys.stdin.readline()
print(*connection.execute("select text_id from texts order by 1").fetchall())
"""


def add(index: Path, text: str) -> None:
    with changing(index) as connection:
        connection.execute("insert into texts values (?, ?)", [text, text])


def texts(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [text for (text,) in connection.execute("select text_id from texts order by 1").fetchall()]


def kept(index: Path) -> list[str]:
    return sorted(one.name for one in (index / SNAPSHOTS).iterdir())


def test_one_process_has_several_states_side_by_side(index: Path) -> None:
    held = []
    for number in range(4):
        held.append(connect(index))
        add(index, f"{number}")
    assert [texts(one) for one in held] == [["0", "1", "2"][:number] for number in range(4)]
    assert texts(connect(index)) == ["0", "1", "2", "3"]
    assert kept(index) == [f"{number:06}" for number in range(1, 6)]
    for one in held:
        one.close()
        release(one)
    add(index, "4")
    assert kept(index) == ["000006"]


def test_a_connection_that_is_forgotten_holds_nothing(index: Path) -> None:
    connection = connect(index)
    add(index, "a")
    assert kept(index) == ["000001", "000002"]
    del connection
    add(index, "b")
    assert kept(index) == ["000003"]


def test_another_process_keeps_its_state_until_it_ends(index: Path) -> None:
    add(index, "a")
    command = [sys.executable, "-c", HOLD, str(index)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "open\n"
        add(index, "b")
        add(index, "c")
        assert kept(index) == ["000002", "000004"]
        process.stdin.close()
        assert process.stdout.read() == "('a',)\n"
    add(index, "d")
    assert kept(index) == ["000005"]


def test_a_killed_reader_holds_nothing(index: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        process.kill()
    add(index, "a")
    assert kept(index) == ["000002"]


def test_what_a_killed_writer_committed_is_published_with_the_next(index: Path, python: Callable[..., object]) -> None:
    python(
        "import os, sys; from pathlib import Path; from clipdb.schema.catalog import connect_writing\n"
        "connection = connect_writing(Path(sys.argv[1]))\n"
        "connection.execute(\"insert into texts values ('committed', 'a')\"); connection.begin()\n"
        "connection.execute(\"insert into texts values ('lost', 'b')\"); os.kill(os.getpid(), 9)",
        index,
    )
    assert not snapshots.is_published(index)
    assert texts(connect(index)) == []
    add(index, "next")
    assert snapshots.is_published(index)
    assert texts(connect(index)) == ["committed", "next"]


@pytest.mark.parametrize("moment", ["fsync", "rename", "symlink", "replace"])
def test_a_publication_that_is_killed_leaves_what_was(index: Path, python: Callable[..., object], moment: str) -> None:
    """Each of its calls ends the process in place of doing its work."""
    add(index, "a")
    python(
        "import os, pathlib, sys; from pathlib import Path; from clipdb.schema.catalog import changing\n"
        "with changing(Path(sys.argv[1])) as connection:\n"
        "    connection.execute(\"insert into texts values ('b', 'b')\")\n"
        f"    os.{moment} = lambda *_, **__: os._exit(9)",
        index,
    )
    assert texts(connect(index)) == ["a"]
    add(index, "c")
    assert texts(connect(index)) == ["a", "b", "c"]
    assert {one.name for one in index.iterdir()} == {CATALOG, WORK, SNAPSHOTS, "vectors"}
    assert len(kept(index)) == 1


def test_a_full_disk_keeps_the_old_snapshot(
    index: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    add(index, "a")
    done = python(
        "import resource, sys; from pathlib import Path; from clipdb.schema import snapshots\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: snapshots.publish(Path(sys.argv[1]), {})\n"
        "except OSError as error: print(error.strerror)",
        index,
    )
    assert done.stdout == "File too large\n"
    assert texts(connect(index)) == ["a"] and kept(index) == ["000002"]


def test_a_snapshot_that_was_deleted_by_hand(index: Path) -> None:
    add(index, "a")
    shutil.rmtree(index / SNAPSHOTS)
    with pytest.raises(ClipdbError, match=r"newest snapshot .* was deleted: `clipdb upgrade .*` publishes it again"):
        connect(index)
    add(index, "b")
    assert texts(connect(index)) == ["a", "b"] and kept(index) == ["000003"]


def test_the_advice_for_a_deleted_snapshot_works(index: Path) -> None:
    add(index, "a")
    shutil.rmtree(index / SNAPSHOTS)
    with pytest.raises(ClipdbError, match="was deleted"):
        connect(index)
    assert "Its catalog is " in done("upgrade", index)
    assert texts(connect(index)) == ["a"]


def test_a_link_that_was_deleted_by_hand(index: Path) -> None:
    add(index, "a")
    (index / CATALOG).unlink()
    assert texts(connect(index)) == ["a"]
    add(index, "b")
    assert (index / CATALOG).is_symlink() and texts(connect(index)) == ["a", "b"]


def test_a_copy_that_followed_the_link(index: Path, tmp_path: Path) -> None:
    add(index, "a")
    copy = tmp_path / "copy.clipdb"
    shutil.copytree(index, copy, symlinks=False)
    assert not (copy / CATALOG).is_symlink()
    assert texts(connect(copy)) == ["a"]
    add(copy, "b")
    assert texts(connect(copy)) == ["a", "b"] and (copy / CATALOG).is_symlink()


def test_what_the_writer_has_is_taken_from_the_newest_snapshot_where_it_is_torn(index: Path) -> None:
    """As a power failure leaves a block that DuckDB was writing in place."""
    add(index, "a")
    with (index / WORK).open("r+b") as file:
        file.seek(3 * 4096 + 8)  # the first block, behind three headers and its checksum
        file.write(bytes(2**17))
    (index / f"{WORK}.wal").write_bytes(b"of what is no more")
    add(index, "b")
    assert texts(connect(index)) == ["a", "b"] and not (index / f"{WORK}.wal").exists()


def test_a_catalog_alone_becomes_what_a_writer_works_on(index: Path) -> None:
    add(index, "a")
    (index / WORK).unlink()
    add(index, "b")
    assert texts(connect(index)) == ["a", "b"]


def test_an_index_of_the_older_layout_is_read_and_moved_by_the_first_writer(index: Path) -> None:
    add(index, "a")
    without_snapshots(index)
    with connect(index) as connection:
        assert texts(connection) == ["a"]
    add(index, "b")
    assert texts(connect(index)) == ["a", "b"] and (index / CATALOG).is_symlink()


def test_readers_may_only_read(index: Path) -> None:
    """On a read-only file system, say: locks of readers need no writing."""
    for folder in (index / SNAPSHOTS / "000001", index / SNAPSHOTS, index):
        folder.chmod(0o555)
    assert texts(connect(index)) == []
    for folder in (index, index / SNAPSHOTS, index / SNAPSHOTS / "000001"):
        folder.chmod(0o755)


def test_any_client_of_duckdb_reads_the_newest(index: Path) -> None:
    with duckdb.connect(str(index / CATALOG), read_only=True) as older:
        add(index, "a")
        with duckdb.connect(str(index / CATALOG), read_only=True) as newer:
            assert (texts(older), texts(newer)) == ([], ["a"])
            assert newer.execute("select current_database()").fetchone() == ("catalog",)


def test_writing_connections_see_what_is_not_published_yet(index: Path) -> None:
    with connect_writing(index) as connection:
        connection.execute("insert into texts values ('a', 'a')")
    assert (texts(connect_writing(index)), texts(connect(index))) == (["a"], [])
    assert (index / WORK).stat().st_size > 0
