from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from clipdb.errors import ClipdbError
from clipdb.schema import catalog, migrations, views
from clipdb.schema.catalog import CATALOG, SCHEMA_VERSION, connect
from clipdb.schema.migrations import Migration

NEXT = Migration(
    SCHEMA_VERSION + 1,
    (
        "alter table images add column taken_at timestamptz",
        "comment on column images.taken_at is 'When the photo was taken'",
        "update images set taken_at = timestamptz '2026-01-01 00:00:00+00'",
    ),
)
AFTER = Migration(SCHEMA_VERSION + 2, ("create table extra (a integer primary key)",))


@pytest.fixture
def older(index: Path) -> Path:
    """An index as a version before the first would have left it: no views, version 0."""
    with duckdb.connect(str(index / CATALOG)) as connection:
        for view in reversed(views.load()):
            if not view.is_scalar:
                connection.execute(f"drop view {view.name}")
            if view.parameters:
                connection.execute(f"drop macro {'' if view.is_scalar else 'table '}{view.name}")
        connection.execute("update clipdb_schema set version = 0")
        connection.execute("insert into images (image_id, uri) values ('a', 'a.jpg')")
    return index


def versions(index: Path) -> list[int]:
    with duckdb.connect(str(index / CATALOG), read_only=True) as connection:
        return [row[0] for row in connection.execute("select version from clipdb_schema order by 1").fetchall()]


def test_versions_are_numbered_without_gaps() -> None:
    assert [step.version for step in migrations.MIGRATIONS] == list(range(2, SCHEMA_VERSION + 1))


def test_reading_an_older_index_says_what_to_run_and_changes_nothing(older: Path) -> None:
    before = (older / CATALOG).read_bytes()
    with pytest.raises(ClipdbError, match=rf"run `clipdb upgrade {older}`$"):
        connect(older)
    assert (older / CATALOG).read_bytes() == before


def test_writing_to_an_older_index_brings_it_up_to_date(older: Path) -> None:
    with connect(older, read_only=False) as connection:
        assert connection.execute("select image_id from images").fetchall() == [("a",)]
    assert versions(older) == [0, SCHEMA_VERSION]
    with connect(older) as connection:
        made = {
            row[0] for row in connection.execute("select view_name from duckdb_views() where not internal").fetchall()
        }
        assert made == {view.name for view in views.load() if not view.is_scalar}
        assert connection.execute("from association(min_agree := 2)").fetchall() == []


def test_a_newer_index_is_refused(index: Path) -> None:
    with duckdb.connect(str(index / CATALOG)) as connection:
        connection.execute("insert into clipdb_schema values (?, '99', now())", [SCHEMA_VERSION + 1])
    before = (index / CATALOG).read_bytes()
    for read_only in (True, False):
        with pytest.raises(ClipdbError, match=f"schema version {SCHEMA_VERSION + 1} .*upgrade clipdb") as caught:
            connect(index, read_only)
        assert "\n" not in str(caught.value)
    assert (index / CATALOG).read_bytes() == before


def test_only_the_missing_steps_run_in_order(index: Path) -> None:
    with connect(index, read_only=False) as connection:
        connection.execute("insert into images (image_id, uri) values ('a', 'a.jpg')")
        migrations.upgrade(connection, (NEXT,))
        assert connection.execute("select count(taken_at) from images").fetchone() == (1,)
        migrations.upgrade(connection, (NEXT, AFTER))
        assert migrations.version(connection) == AFTER.version
        assert connection.execute("from head_cards").fetchall() == []
    assert versions(index) == [SCHEMA_VERSION, NEXT.version, AFTER.version]


def test_a_step_that_fails_leaves_the_catalog_as_it_was(index: Path) -> None:
    broken = Migration(AFTER.version, ("create table extra (a integer)", "insert into no_such_table values (1)"))
    with connect(index, read_only=False) as connection:
        with pytest.raises(duckdb.CatalogException):
            migrations.upgrade(connection, (NEXT, broken))
        assert migrations.version(connection) == SCHEMA_VERSION
        columns = [row[0] for row in connection.execute("describe images").fetchall()]
        assert "taken_at" not in columns
    assert versions(index) == [SCHEMA_VERSION]
    assert catalog.exists(index)


def test_a_kill_in_the_middle_leaves_the_catalog_as_it_was(index: Path, python) -> None:
    code = """
import os, sys; from pathlib import Path
from clipdb.schema import migrations, views; from clipdb.schema.catalog import connect
class Killed(tuple):
    def __iter__(self):
        yield "create table extra (a integer)"
        os.kill(os.getpid(), 9)
with connect(Path(sys.argv[1]), read_only=False) as connection:
    migrations.upgrade(connection, (migrations.Migration(int(sys.argv[2]), Killed()),))
"""
    assert python(code, index, NEXT.version).returncode == -9
    with connect(index) as connection:
        assert connection.execute("select count(*) from duckdb_tables() where table_name = 'extra'").fetchone() == (0,)
    assert versions(index) == [SCHEMA_VERSION]
