"""Views of an export are made when a statement names them, and nobody notices that they weren't there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from built_index import Built
from sqlalchemy import text
from support import clipdb as run

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.index import Index
from clipdb.queries.named.sql_files import find_query, query_names
from clipdb.queries.needs import reads_all_views
from clipdb.schema import views


@pytest.fixture
def opened(shards: Path) -> Iterator[Index]:
    with clipdb.open(shards) as db:
        yield db


def made(db: Index) -> set[str]:
    return {name for (name,) in db.bare_connection.execute("select view_name from duckdb_views()").fetchall()}


RELATIONS = {view.name for view in views.load() if not view.is_scalar}


def test_only_what_a_statement_names_is_made(opened: Index) -> None:
    assert not made(opened) & RELATIONS
    opened.sql("select count(*) from heads").fetchall()
    assert not made(opened) & RELATIONS
    opened.sql("select name from Head_Cards").fetchall()
    cards = made(opened) & RELATIONS
    assert "head_cards" in cards and not cards & {"ccs", "scoreboard", "association", "reviews"}
    opened.query.heads().fetchall()
    assert "scoreboard" not in made(opened)


@pytest.mark.parametrize(
    "sql",
    [
        'from "HEAD_PROPERTIES"',
        "from head_properties(only_pool := 'mine')",
        "from query_table('head_properties')",
        "with mine as (from head_properties) from mine",
        "describe head_properties",
        "summarize head_properties",
        "prepare p as from head_properties",
        "explain from head_properties",
        "select wilson_low(1, 2), labeller_rank('vote')",
    ],
)
def test_a_view_answers_however_it_is_named(opened: Index, sql: str) -> None:
    assert not made(opened) & RELATIONS
    opened.execute(sql).fetchall()
    assert made(opened) & RELATIONS or "wilson_low" in sql  # of which no relation is needed


def test_a_name_that_is_put_together_is_found(opened: Index) -> None:
    opened.execute("create temp table n as select 1; from query_table('head_' || 'properties')").fetchall()
    with clipdb.open(opened.path) as again:
        found, named = (
            sorted(again.execute(f"from {table}").fetchall(), key=str)
            for table in ("query_table('head_' || 'properties')", "head_properties")
        )
        assert found == named and found


LISTING = [
    *("show tables", "SHOW ALL TABLES", "from (show all tables)", "describe", "desc;", " desc "),
    *("from information_schema.columns", "select view_name from duckdb_views()", "from sqlite_master"),
    *("select relname from pg_class", 'from "duckdb_columns"()', "pragma show_tables", "export database 'x'"),
    *("begin", "start transaction", "select 1; from heads", "select ';' /* ' */; select 2"),
]


@pytest.mark.parametrize("sql", LISTING)
def test_what_may_read_any_view_is_known(sql: str) -> None:
    assert reads_all_views(sql)


def test_questions_read_no_more_than_they_name() -> None:
    assert not reads_all_views(
        "select name from heads where name <> '; show tables' -- begin; end\norder by name desc;\n"
    )
    for name in query_names():
        assert not reads_all_views(find_query(name).sql), name


def test_what_lists_tables_lists_all_views(opened: Index) -> None:
    assert {name for (name,) in opened.execute("show tables").fetchall()} >= RELATIONS


def test_an_index_and_its_export_list_the_same(opened: Index, built: Built) -> None:
    macros = "select distinct function_name from duckdb_functions() where not internal order by 1"
    with clipdb.open(built.path) as index:
        theirs, ours = (db.sql("show tables").fetchall() for db in (opened, index))
        assert {name for (name,) in ours} - {name for (name,) in theirs} <= {
            *("bases", "batches", "clipdb_schema", "head_pairs", "head_statistics", "parts"),
            *("property_indexes", "property_index_parts"),
        }
        lacking = set(index.sql(macros).fetchall()) - set(opened.sql(macros).fetchall())
        assert lacking <= {("views_hash",)}


def test_a_misspelt_name_is_told_the_right_one(opened: Index, shards: Path) -> None:
    with pytest.raises(duckdb.CatalogException, match=r"Did you mean \"scoreboard\""):
        opened.sql("from scorebord")
    result = run("query", "from scorebord", "-i", shards)
    assert result.exit_code == 1 and 'Did you mean "scoreboard"' in result.stderr


def test_a_transaction_sees_all_views_and_loses_none(opened: Index) -> None:
    opened.execute("begin")
    opened.execute("from heads").fetchall()
    inside = opened.execute("from scoreboard order by all").fetchall()
    opened.execute("rollback")
    assert opened.execute("from scoreboard order by all").fetchall() == inside and inside


def test_a_question_goes_on_while_a_view_is_made(opened: Index) -> None:
    rows = opened.execute("select range from range(100000)")
    assert rows.fetchone() == (0,)
    opened._place.make_views("scoreboard")
    assert len(rows.fetchall()) == 99_999


def test_threads_make_views_at_once(opened: Index) -> None:
    names = sorted(RELATIONS)

    def ask(name: str) -> int:
        with opened.cursor() as cursor:
            return len(cursor.sql(f"from {name}").fetchall())

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, names))
    assert found == [len(opened.sql(f"from {name}").fetchall()) for name in names]


def test_the_name_of_a_view_is_taken_before_it_is_made(opened: Index) -> None:
    with pytest.raises(ClipdbError, match="the catalog has 'scoreboard' already"):
        opened.register("scoreboard", duckdb.sql("select 1 as n"))


def test_the_connection_and_the_engine_have_all_views(shards: Path) -> None:
    with clipdb.open(shards) as db:
        assert made(db) & RELATIONS == set()
        with db.engine.connect() as connection:
            assert connection.execute(text("select count(*) from scoreboard")).scalar() is not None
    with clipdb.open(shards) as db:
        assert {row[0] for row in db.connection.execute("select view_name from duckdb_views()").fetchall()} >= RELATIONS
