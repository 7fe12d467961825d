"""The synthetic index of the benchmarks is an index of today's schema."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import clipdb

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_clustered_index_can_be_built_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "queries", raising=False)
    import made_vectors  # type: ignore[import-not-found]
    import millions  # type: ignore[import-not-found]

    made_vectors.build(tmp_path / "made.clipdb", 300)
    monkeypatch.delitem(sys.modules, "queries")  # a folder of the product has its name
    with clipdb.open(tmp_path / "made.clipdb") as db:
        image = db.sql("select image_id from images limit 1").fetchall()[0][0]
        for name in ("neighbours", "text_neighbours", "property_neighbours, 12 heads", "outliers", "ablate, 2 heads"):
            assert millions.QUESTIONS[name](db, image)
    assert millions.ask(tmp_path / "made.clipdb", "numpy, 12 heads")["peak"] > 0


def test_the_synthetic_index_can_be_built_and_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "queries", raising=False)
    import queries  # type: ignore[import-not-found]

    queries.build(tmp_path / "noise.clipdb", 60)
    monkeypatch.delitem(sys.modules, "queries")  # a folder of the product has its name
    with clipdb.open(tmp_path / "noise.clipdb") as db:
        image = db.sql("select image_id from images limit 1").fetchall()[0][0]
        found = db.query.neighbours(image, head="L11.H3").fetchall()
        assert len(found) == 10
        assert db.sql("select count(*) from head_properties where property = 'texture'").fetchall() == [(12,)]
