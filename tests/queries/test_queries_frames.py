"""One's own data beside an index's, and what SQL says there is."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from built_index import Built

import clipdb
from clipdb.errors import ClipdbError

JOINED = "select m.word, v.image_id from mine m join image_vectors v on v.image_id = m.image_id order by m.word"


def test_frames_are_joined_with_vectors_from_the_start(built: Built) -> None:
    mine = pd.DataFrame({"image_id": built.ids[:2], "word": ["a", "b"]})  # SQL finds it by its name
    expected = [("a", built.ids[0]), ("b", built.ids[1])]
    with clipdb.open(built.path) as db:
        assert db.connection.sql(JOINED).fetchall() == expected
        assert len(db.connection.sql("from neighbours(null, 'L2.H0', '" + built.ids[0] + "', k := 3)").fetchall()) == 3
    assert len(mine) == 2


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_frame_can_be_given_a_name(built: Built, kind: type) -> None:
    with clipdb.open(built.path) as db:
        db.register("mine", kind({"image_id": built.ids[:2], "word": ["a", "b"]}))
        assert db.sql(JOINED).fetchall() == [("a", built.ids[0]), ("b", built.ids[1])]
        db.register("mine", kind({"image_id": built.ids[2:3], "word": ["c"]}))
        assert db.sql(JOINED).fetchall() == [("c", built.ids[2])]


def test_a_frame_does_not_hide_a_table(built: Built) -> None:
    with clipdb.open(built.path) as db:
        for name in ("heads", "head_cards"):
            with pytest.raises(ClipdbError, match=f"the catalog has '{name}' already"):
                db.register(name, pa.table({"a": [1]}))
        assert len(db.sql("from heads").fetchall()) == 6


def test_what_there_is_can_be_listed(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert {"heads", "image_vectors", "text_vectors"} <= {row[0] for row in db.sql("show tables").fetchall()}
    with clipdb.open(built.path) as db:
        views = db.sql("select view_name from duckdb_views()").fetchall()
        assert {("image_vectors",), ("text_vectors",), ("head_cards",)} <= set(views)
    with clipdb.open(built.path) as db:
        functions = "select function_name from duckdb_functions() where function_name like 'neigh%'"
        assert ("neighbours",) in db.sql(functions).fetchall()
