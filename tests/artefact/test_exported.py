"""Artefacts read in place: the answers are those of the index that was exported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import sqlalchemy
from built_index import SPANS, Built
from support import done
from written_artefact import write_built

import clipdb
from clipdb.artefact.format import RELATIONS
from clipdb.errors import ClipdbError

Pair = tuple[clipdb.Index, clipdb.Index]


@pytest.fixture(scope="module")
def pair(built: Built, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The index and the artefact, open; the index is a copy, since tests open the other in another way."""
    copy = shutil.copytree(built.path, tmp_path_factory.mktemp("copy") / "one.clipdb")
    with clipdb.open(copy) as index, clipdb.open(shards) as artefact:
        yield index, artefact


QUESTIONS: dict[str, dict[str, Any]] = {
    "heads": {},
    "head": {"head": "L2.H1"},
    "property": {"property": "color"},
    "properties": {},
    "spans": {"text": "grey"},
    "entanglement": {},
    "association": {"by": "layer"},
    "ccs": {},
    "layers": {},
    "neighbours": {"head": "L1.H2", "image": None},
    "property_neighbours": {"property": "colour", "image": None},
    "text_neighbours": {"head": "L2.H0", "text": SPANS[1]},
    "text_texts": {"head": "L2.H0", "text": SPANS[1]},
    "image_texts": {"head": "L2.H0", "image": None},
    "contributions": {"image": None, "text": SPANS[4]},
    "text_heads": {"text": SPANS[0]},
    "alike": {"head": "L1.H0"},
    "activating": {"head": "L2.H2", "span": 2},
}


@pytest.mark.parametrize("query", QUESTIONS)
def test_every_question_has_the_answer_of_the_index(pair: Pair, built: Built, query: str) -> None:
    values = {name: built.ids[7] if value is None else value for name, value in QUESTIONS[query].items()}
    expected, found = (getattr(db.query, query)(**values) for db in pair)
    assert (found.columns, found.types) == (expected.columns, expected.types)
    rows = found.fetchall()
    assert rows and rows == expected.fetchall()


@pytest.mark.parametrize("name", [name for name in RELATIONS if name != "image_failures"])
def test_relations_are_the_same_to_the_type(pair: Pair, name: str) -> None:
    ours, theirs = (db.sql(f"from {name} order by all") for db in pair)
    assert (ours.columns, ours.types) == (theirs.columns, theirs.types)
    assert ours.fetchall() == theirs.fetchall()


def test_vectors_are_tables_of_sql(pair: Pair) -> None:
    columns = "image_id, embedding, norm, l1h0, l1h1, l1h2, l2h0, l2h1, l2h2"
    ours, theirs = (db.sql(f"select {columns} from image_vectors order by image_id") for db in pair)
    assert ours.types == theirs.types and ours.fetchall() == theirs.fetchall()
    assert pair[1].sql("from image_vectors").columns == columns.split(", ")
    products = 'select array_inner_product(l2h0, l2h1) as p from vectors."one/a".images order by p'
    ours, theirs = (db.sql(products) for db in pair)
    assert ours.fetchall() == theirs.fetchall()
    ours, theirs = (db.sql("select embedding, l2h1 from text_vectors order by text_id") for db in pair)
    assert ours.types == theirs.types and ours.fetchall() == theirs.fetchall()


def test_a_row_is_found_in_its_shard_and_row_group(pair: Pair, built: Built) -> None:
    store = pair[1].context.store
    for number, image_id in enumerate(built.ids):
        row = store.position("one/a", "images", image_id)
        assert row is not None
        vectors = store.row("one/a", "images", row)[1]
        for (_, layer, head), truth in built.vectors.items():
            expected = truth[number].astype(np.float32)
            assert np.array_equal(store.head("one/a", "images", (layer, head))[row], expected, equal_nan=True)
            if np.isnan(expected).any():
                assert (layer, head) not in vectors
            else:
                assert np.array_equal(vectors[layer, head], expected)


def test_several_models_are_told_apart(two: Built, tmp_path: Path) -> None:
    folder = write_built(tmp_path / "two", two)
    with clipdb.open(two.path) as index, clipdb.open(folder) as artefact:
        for db in (index, artefact):
            with pytest.raises(ClipdbError, match=r"several models: choose one with --model \(one/a, two/b\)"):
                db.sql("from image_vectors")
        ask = "select * from neighbours('two/b', 'L2.H1', $image)"
        assert artefact.sql(ask, image=two.ids[3]).fetchall() == index.sql(ask, image=two.ids[3]).fetchall()
    with clipdb.open(folder, model="two/b") as artefact:
        assert artefact.sql("select count(l1h0), count(*) from image_vectors").fetchall() == [(38, 40)]


def test_what_was_left_out_is_empty(built: Built, tmp_path: Path) -> None:
    folder = write_built(tmp_path / "vectors", built, what="vectors")
    with clipdb.open(built.path) as index, clipdb.open(folder) as artefact:
        for name in ("images", "spans", "labels", "runs", "head_properties", "image_failures"):
            theirs = artefact.sql(f"from {name}")
            assert theirs.fetchall() == [] and theirs.types == index.sql(f"from {name}").types
        ask = "select * from neighbours('one/a', 'L2.H1', $image)"
        assert artefact.sql(ask, image=built.ids[3]).fetchall() == index.sql(ask, image=built.ids[3]).fetchall()
        with pytest.raises(ClipdbError, match="no spans yet"):
            artefact.query.spans("red")
    relations = write_built(tmp_path / "relations", built, what="relations")
    with clipdb.open(relations) as artefact:
        assert len(artefact.query.heads().fetchall()) == 6
        with pytest.raises(ClipdbError, match=r"no vectors of images.*clipdb export --what all"):
            artefact.query.neighbours(head="L2.H1", image=built.ids[3])
        with pytest.raises(ClipdbError, match="no vectors of images"):
            artefact.sql("from image_vectors")


def test_an_export_of_the_first_version_is_read_and_imported(built: Built, tmp_path: Path) -> None:
    """It has no scores of labels, and knows less of a model."""
    older = write_built(tmp_path / "older", built, version=1)
    with clipdb.open(older) as artefact, clipdb.open(built.path) as index:
        assert artefact.query.heads().fetchall() == index.query.heads().fetchall()
        assert artefact.sql("select count(*) from label_scores").fetchall() == [(0,)]
        assert artefact.sql("select config, tensors_sha256 from models").fetchall() == [(None, None)]
        models = "select * exclude (config, tensors_sha256) from models"
        assert artefact.sql(models).fetchall() == index.sql(models).fetchall()
    done("import", older, "-i", tmp_path / "new.clipdb")
    with clipdb.open(tmp_path / "new.clipdb") as new, clipdb.open(built.path) as index:
        for table in ("models", "heads", "spans", "labels"):
            assert sorted(map(str, new.sql(f"from {table}").fetchall())) == sorted(
                map(str, index.sql(f"from {table}").fetchall())
            )


def test_the_engine_and_other_connections_see_it(shards: Path) -> None:
    with clipdb.open(shards) as db, db.engine.connect() as connection:
        counted = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(clipdb.schema.heads))
        assert counted.scalar_one() == 6
        assert connection.exec_driver_sql("select count(*) from head_cards").scalar_one() == 6
    with clipdb.open(shards) as db, pytest.raises(duckdb.Error, match="Can only delete from base table"):
        db.execute("delete from heads")


def test_reading_imports_neither_lance_nor_torch(built: Built, shards: Path) -> None:
    code = (
        "import sys, clipdb; db = clipdb.open(sys.argv[1]); db.query.neighbours(head='L2.H0', image=sys.argv[2])\n"
        "print(sorted({'lance', 'lancedb', 'torch', 'sqlalchemy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, shards, built.ids[0]], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")
