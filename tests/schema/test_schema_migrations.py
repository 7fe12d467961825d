from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from older_index import make_older

from clipdb.api.sharing import upgrade
from clipdb.errors import ClipdbError
from clipdb.ingest.store.lock import LOCK
from clipdb.schema import creation, migrations
from clipdb.schema.catalog import SCHEMA_VERSION, connect, connect_writing
from clipdb.schema.migrations import Migration
from clipdb.schema.snapshots import CATALOG, SNAPSHOTS, WORK

ROWS = """
insert into models (model_id, layers, heads, head_dim, width, embed_dim, image_size) values ('m/w', 2, 2, 2, 4, 2, 8);
insert into heads values ('m/w', 0, 1, 'L0.H1', [1, 0, 0, 1], [0.5, 0.25], 1.5, 2.0),
    ('n/w', 3, 0, 'L3.H0', null, null, null, null);
insert into images (image_id, uri, metadata) values ('a', 'a.jpg', '{"colour": "red"}'), ('b', 'b.jpg', null);
"""


@pytest.fixture
def older(index: Path) -> Path:
    """Make an index of the first version, with a few rows."""
    make_older(index)
    with duckdb.connect(str(index / CATALOG)) as connection:
        connection.execute(ROWS)
    return index


def versions(index: Path) -> list[int]:
    with duckdb.connect(str(index / CATALOG), read_only=True) as connection:
        return [row[0] for row in connection.execute("select version from clipdb_schema order by 1").fetchall()]


def test_versions_are_numbered_without_gaps() -> None:
    assert [step.version for step in migrations.MIGRATIONS] == list(range(2, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("open_it", [connect, connect_writing])
def test_an_older_index_says_what_to_run_and_stays_as_it_is(older: Path, open_it: Callable[[Path], object]) -> None:
    before = (older / CATALOG).read_bytes()
    with pytest.raises(ClipdbError, match=rf"run `clipdb upgrade {older}`$"):
        open_it(older)
    assert (older / CATALOG).read_bytes() == before


def test_an_upgrade_keeps_every_row(older: Path) -> None:
    assert upgrade(older)
    assert versions(older) == [1, SCHEMA_VERSION]
    with connect(older) as connection:
        heads = connection.execute("from heads order by all").fetchall()
        assert heads == [
            ("m/w", 0, 1, "L0.H1", "trunk", [1.0, 0.0, 0.0, 1.0], 2, None, None, [0.5, 0.25], 1.5, 2.0),
            ("n/w", 3, 0, "L3.H0", "trunk", None, None, None, None, None, None, None),
        ]
        images = connection.execute("select image_id, uri, metadata from images order by 1").fetchall()
        assert images == [("a", "a.jpg", '{"colour": "red"}'), ("b", "b.jpg", None)]
        assert connection.execute("select model_id, config, tensors_sha256 from models").fetchall() == [
            ("m/w", None, None)
        ]
        assert connection.execute("from association(min_agree := 2)").fetchall() == []
        assert connection.execute("select count(*) from duckdb_indexes() where table_name = 'images'").fetchone() == (
            0,
        )


def test_an_upgraded_catalog_is_what_a_new_one_would_be(older: Path, tmp_path: Path) -> None:
    upgrade(older)
    creation.create(tmp_path / "new.clipdb")
    query = """
        select 'column', table_name, column_name, data_type, is_nullable, comment
        from duckdb_columns() where not internal
        union all select 'table', table_name, sql, null, null, comment from duckdb_tables()
        union all select 'view', view_name, sql, null, null, comment from duckdb_views() where not internal
        order by all"""
    with connect(older) as one, connect(tmp_path / "new.clipdb") as other:
        assert one.execute(query).fetchall() == other.execute(query).fetchall()


def test_an_upgrade_leaves_behind_what_was_replaced(older: Path) -> None:
    with duckdb.connect(str(older / CATALOG)) as connection:
        connection.execute("update heads set basis = range(200_000)::float[] where layer = 0")
        for _ in range(5):
            connection.execute("update heads set mean = [random()::float, 0] where layer = 0")
            connection.execute("checkpoint")
    before = (older / CATALOG).stat().st_size
    upgrade(older)
    assert (older / CATALOG).stat().st_size < before / 2
    assert {file.name for file in older.iterdir()} == {CATALOG, WORK, SNAPSHOTS, LOCK, "vectors"}
    assert [file.name for file in (older / SNAPSHOTS).iterdir()] == ["000001"]


def test_an_index_that_is_up_to_date_is_left_alone(index: Path) -> None:
    before = (index / CATALOG).read_bytes()
    assert not upgrade(index)
    assert (index / CATALOG).read_bytes() == before


def test_a_log_that_a_kill_left_is_upgraded_too(older: Path, python: Callable[..., object]) -> None:
    code = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("insert into images (image_id, uri) values ('c', 'c.jpg')")
os.kill(os.getpid(), 9)
"""
    python(code, older / CATALOG)
    assert (older / f"{CATALOG}.wal").exists()
    upgrade(older)
    assert not (older / f"{CATALOG}.wal").exists()
    with connect(older) as connection:
        assert connection.execute("select count(*) from images").fetchone() == (3,)


def test_a_newer_index_is_refused(index: Path) -> None:
    for file in (CATALOG, WORK):
        with duckdb.connect(str(index / file)) as connection:
            connection.execute("insert into clipdb_schema values (?, '99', now())", [SCHEMA_VERSION + 1])
    before = (index / CATALOG).read_bytes()
    for act in (connect, connect_writing, upgrade):
        with pytest.raises(ClipdbError, match=f"schema version {SCHEMA_VERSION + 1} .*upgrade clipdb") as caught:
            act(index)
        assert "\n" not in str(caught.value)
    assert (index / CATALOG).read_bytes() == before


def test_steps_build_on_each_other(older: Path) -> None:
    """Two more versions: one changes a table, the next changes what that one made of it."""
    steps = (
        *migrations.MIGRATIONS,
        Migration(98, {"images": "select * replace (uri || '!' as uri), 'new' as split_of from images"}),
        Migration(99, {"images": "select * exclude split, split_of as split from images where image_id <> 'b'"}),
    )
    with duckdb.connect() as connection:
        connection.execute(f"attach '{older / CATALOG}' as older (read_only)")
        migrations.make(connection)
        migrations.fill(connection, "older", 1, steps)
        assert connection.execute("select image_id, uri, split from images").fetchall() == [("a", "a.jpg!", "new")]
        assert connection.execute("select name from heads order by 1").fetchall() == [("L0.H1",), ("L3.H0",)]
        assert migrations.version(connection) == 99


def test_rows_that_do_not_fit_leave_the_catalog_as_it_was(older: Path) -> None:
    with duckdb.connect(str(older / CATALOG)) as connection:
        connection.execute("alter table images alter uri drop not null")
        connection.execute("insert into images (image_id) values ('c')")
    before = (older / CATALOG).read_bytes()
    with pytest.raises(ClipdbError, match=r"cannot upgrade .*, which is as it was: .*NOT NULL") as caught:
        upgrade(older)
    assert "\n" not in str(caught.value)
    assert (older / CATALOG).read_bytes() == before
    assert {file.name for file in older.iterdir()} == {CATALOG, LOCK, "vectors"}


def test_a_kill_leaves_the_catalog_as_it_was_and_the_next_upgrade_cleans_up(
    older: Path, python: Callable[..., object]
) -> None:
    before = (older / CATALOG).read_bytes()
    code = f"""
import os, sys
from pathlib import Path
from clipdb.schema import migrations, upgrade
stamp = migrations.stamp
migrations.stamp = lambda *given: os.kill(os.getpid(), {int(signal.SIGKILL)})
upgrade.upgrade(Path(sys.argv[1]))
"""
    python(code, older)
    assert (older / CATALOG).read_bytes() == before
    assert len(list(older.iterdir())) > 2  # what the kill left
    assert upgrade(older)
    assert {file.name for file in older.iterdir()} == {CATALOG, WORK, SNAPSHOTS, LOCK, "vectors"}
