from __future__ import annotations

import datetime
from pathlib import Path

import sqlalchemy as sa

import clipdb.schema
from clipdb.schema import catalog
from clipdb.schema.engine import engine, engine_on

# What DuckDB has an index of; the keys of other tables are compared by those who write.
KEYS = {
    "clipdb_schema": ["version"],
    "models": ["model_id"],
    "bases": ["model_id", "layer", "head"],
    "head_statistics": [],
    "aligners": ["model_id"],
    "head_pairs": [],
    "property_indexes": [],
    "property_index_parts": [],
    "images": [],
    "image_failures": [],
    "pairs": [],
    "effects": [],
    "texts": ["text_id"],
    "pools": ["pool"],
    "pool_texts": [],
    "spans": [],
    "directions": [],
    "labels": ["model_id", "layer", "head", "pool", "labeller", "run"],
    "label_scores": ["model_id", "layer", "head", "pool", "labeller", "run", "property"],
    "judgements": ["model_id", "layer", "head", "text_id", "property", "judge", "run"],
    "runs": [],
    "batches": ["model_id", "kind", "run", "batch"],
}


def test_reflection_gives_back_tables_keys_types_and_comments(index: Path) -> None:
    reflected = sa.MetaData()
    reflected.reflect(engine(index))
    written = clipdb.schema.metadata
    assert set(reflected.tables) == set(written.tables) - {"heads", "components"} == set(KEYS)
    for name, table in ((name, table) for name, table in written.tables.items() if name in KEYS):
        mirror = reflected.tables[name]
        assert mirror.comment == table.comment
        assert [c.name for c in mirror.primary_key] == KEYS[name]
        assert not mirror.foreign_keys
        assert [(c.name, c.comment, c.nullable) for c in mirror.columns] == [
            (c.name, c.comment, c.nullable) for c in table.columns
        ]


def test_every_table_and_column_has_a_comment_for_any_duckdb_client(index: Path) -> None:
    kinds = {
        "columns": "column_name",
        "tables": "table_name",
        "views": "view_name",
        "functions": "function_name",
    }
    with catalog.connect(index) as connection:
        found = [
            row
            for kind, name in kinds.items()
            for row in connection.execute(f"select {name}, comment from duckdb_{kind}() where not internal").fetchall()
        ]
    silent = [name for name, comment in found if not (comment or "").strip()]
    assert silent == []
    assert len(found) > 200


def test_rows_go_in_and_come_out_through_sqlalchemy(index: Path) -> None:
    heads, bases, statistics = clipdb.schema.heads, clipdb.schema.bases, clipdb.schema.head_statistics
    runs = clipdb.schema.runs
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    with catalog.changing(index) as writing, engine_on(writing.cursor).begin() as connection:
        head = {"model_id": "m/w", "layer": 1, "head": 2}
        connection.execute(bases.insert(), [head | {"basis": [0.5, -0.25], "size": 1}])
        connection.execute(statistics.insert(), [head | {"mean": [1.0]}])
        run = {"run": "r", "command": "span", "arguments": {"pool": "it's"}, "started_at": now}
        connection.execute(runs.insert(), [run])
    with engine(index).connect() as connection:
        found = connection.execute(sa.select(heads.c.name, heads.c.basis, heads.c.mean)).all()
        assert found == [("L1.H2", [0.5, -0.25], [1.0])]
        assert connection.execute(sa.select(runs.c.arguments, runs.c.started_at)).all() == [({"pool": "it's"}, now)]


def test_an_upsert_replaces_the_row_of_a_key(index: Path) -> None:
    with catalog.changing(index) as connection:
        for source in ("old", "new"):
            connection.execute("insert or replace into pools (pool, source) values ('p', ?)", [source])
        assert connection.execute("select pool, source from pools").fetchall() == [("p", "new")]


def test_an_engine_has_the_newest_state_at_each_connection(index: Path) -> None:
    idle = engine(index)
    with idle.connect() as older:
        with catalog.changing(index) as connection:
            connection.execute("insert into texts values ('a', 'b')")
        for count, open_one in ((0, older), (1, idle.connect())):
            with open_one as connected:
                assert connected.execute(sa.text("select count(*) from texts")).scalar() == count


def test_times_are_rendered_in_utc(index: Path) -> None:
    with catalog.connect(index) as connection:
        row = connection.execute("select cast(timestamptz '2026-01-01 01:00:00+02' as varchar)").fetchone()
        assert row == ("2025-12-31 23:00:00+00",)
        assert connection.cursor().execute("select current_setting('TimeZone')").fetchone() == ("UTC",)


def test_no_module_hides_a_table() -> None:
    """An imported module would become an attribute of the package, in place of the table of its name."""
    modules = {file.stem for file in Path(clipdb.schema.__file__).parent.glob("*.py")}
    assert not modules & set(clipdb.schema.__all__)
