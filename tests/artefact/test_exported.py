from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from built_index import SPANS, Built
from support import done, refused
from written_artefact import change_manifest, write_built

import clipdb
from clipdb.artefact.format import RELATIONS
from clipdb.errors import ClipdbError

Pair = tuple[clipdb.Index, clipdb.Index]


@pytest.fixture(scope="module")
def exported(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`built` as an artefact: three shards, row groups of six rows. In a folder that a glob or Hive would misread."""
    return write_built(tmp_path_factory.mktemp("it's [a] run=3") / "heads", built)


@pytest.fixture(scope="module")
def pair(built: Built, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The index and the artefact, open; the index is a copy, since tests open the other in another way."""
    copy = shutil.copytree(built.path, tmp_path_factory.mktemp("copy") / "one.clipdb")
    with clipdb.open(copy) as index, clipdb.open(exported) as artefact:
        yield index, artefact


@pytest.fixture
def own(exported: Path, tmp_path: Path) -> Path:
    """A copy of the test's own."""
    return Path(shutil.copytree(exported, tmp_path / "own"))


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


def test_the_engine_and_other_connections_see_it(exported: Path) -> None:
    with clipdb.open(exported) as db, db.engine.connect() as connection:
        counted = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(clipdb.schema.heads))
        assert counted.scalar_one() == 6
        assert connection.exec_driver_sql("select count(*) from head_cards").scalar_one() == 6
    with clipdb.open(exported) as db, pytest.raises(duckdb.Error, match="Can only delete from base table"):
        db.execute("delete from heads")


def test_reading_imports_neither_lance_nor_torch(built: Built, exported: Path) -> None:
    code = (
        "import sys, clipdb; db = clipdb.open(sys.argv[1]); db.query.neighbours(head='L2.H0', image=sys.argv[2])\n"
        "print(sorted({'lance', 'lancedb', 'torch', 'sqlalchemy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, exported, built.ids[0]], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_what_the_command_exports_is_read(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "heads", "-i", built.path)
    for arguments in (("heads",), ("contributions", built.ids[3], "--text", SPANS[0])):
        ask = ("query", *arguments, "-f", "json")
        assert done(*ask, "-i", tmp_path / "heads") == done(*ask, "-i", built.path)


def test_the_model_runs_on_what_it_lacks(pictures: list[Path], tmp_path: Path) -> None:
    index = tmp_path / "scenes.clipdb"
    done("ingest", "images", *pictures[:4], "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index)
    done("export", tmp_path / "heads", "-i", index)
    ask = ("query", "text-heads", "--text", "a red circle", "-f", "json")
    assert done(*ask, "-i", tmp_path / "heads") == done(*ask, "-i", index)


def test_a_picture_of_nowhere_needs_its_file(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "heads", "--without-images", "-i", built.path)
    said = refused("segment", built.ids[0], "--text", SPANS[0], "-i", tmp_path / "heads")
    assert said == f"where the image {built.ids[0][:12]} came from is not known here: give the path of its file"


def test_commands_that_read_take_it(built: Built, exported: Path) -> None:
    for arguments in (("heads",), ("neighbours", built.ids[2], "--head", "L2.H0"), ("select count(*) from texts",)):
        ask = ("query", *arguments, "-f", "json")
        assert done(*ask, "-i", exported) == done(*ask, "-i", built.path)
    explained = ("explain", built.ids[2], SPANS[0], "-f", "csv")
    assert done(*explained, "-i", exported) == done(*explained, "-i", built.path)
    held = [json.loads(done("info", "-f", "json", "-i", place)) for place in (built.path, exported)]
    assert [(one["what"], one["number"]) for one in held[0]] == [(one["what"], one["number"]) for one in held[1]]
    assert '"images": 40' in done("models", "one", "-f", "json", "-i", exported)


@pytest.mark.parametrize("verb", ["ingest texts --pool scenes", "span", "label", "judge", "verify", "upgrade"])
def test_commands_that_write_refuse_it(exported: Path, verb: str) -> None:
    before = sorted(exported.rglob("*"))
    assert refused(*verb.split(), "-i", exported) == (
        f"{exported} is an artefact, made for reading: `clipdb import {exported} -i INDEX` makes an index of it"
    )
    assert refused(*verb.split(), "-i", "https://example.org/heads") == (
        "https://example.org/heads is a URL, made for reading: get the artefact, and `clipdb import DIR -i INDEX`"
    )
    assert sorted(exported.rglob("*")) == before


def test_an_index_with_a_manifest_beside_it_stays_an_index(built: Built, own: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(built.path, tmp_path / "index"))
    shutil.copy(own / "manifest.json", index)
    with clipdb.open(index) as db:
        assert db.sql("select count(*) from batches").fetchall() == [(2,)]


def _html(folder: Path) -> None:
    (folder / "manifest.json").write_text("<!doctype html><p>Not here")


def _newer(folder: Path) -> None:
    change_manifest(folder, format_version=2)


def _huge(folder: Path) -> None:
    with (folder / "manifest.json").open("rb+") as file:
        file.truncate(2**40)  # which takes no room


def _missing(folder: Path) -> None:
    (folder / "relations/spans.parquet").unlink()


def _short(folder: Path) -> None:
    file = folder / "relations/spans.parquet"
    file.write_bytes(file.read_bytes()[:-20])


def _fewer(folder: Path) -> None:
    file = folder / "relations/spans.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)


def _other(folder: Path) -> None:
    file = folder / "relations/labels.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["status"]), file)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_html, "manifest.json is not JSON"),
        (_newer, "has format version 2 and this clipdb knows 1: upgrade clipdb"),
        (_huge, "manifest.json is larger than any that `clipdb export` writes: get the artefact again"),
        (_missing, "relations/spans.parquet"),
        (_short, "relations/spans.parquet"),
        (_fewer, "relations/spans.parquet has 29 rows, and manifest.json says 30: get the artefact again"),
        (_other, '"status" not found'),
    ],
)
def test_damage_is_said_in_a_line(own: Path, damage: Callable[[Path], None], problem: str) -> None:
    damage(own)
    said = refused("query", "heads", "-i", own)
    assert problem in said and str(own) in said


def test_vectors_that_are_not_as_said(built: Built, own: Path) -> None:
    first, last = (own / f"vectors/one__a.images/0000{shard}.parquet" for shard in (0, 2))
    ask = ("query", "neighbours", built.ids[2], "--head", "L2.H0", "-i", own)
    whole, table = last.read_bytes(), pq.read_table(last)
    pq.write_table(table.slice(1), last)
    assert f"{last} has 7 rows, and manifest.json says 8: get the artefact again" == refused(*ask)
    pq.write_table(table.drop_columns(["l2h0"]), last)
    assert f"{own} can't be read: get the artefact again" in refused(*ask)
    last.write_bytes(whole[:4] + bytes(500) + whole[504:])
    assert f"{own} can't be read: get the artefact again" in refused(*ask)
    last.write_bytes(whole[:200])
    assert str(last) in refused(*ask)
    last.unlink()
    assert str(last) in refused(*ask)
    last.write_bytes(whole)
    pq.write_table(pq.read_table(first), first, store_schema=False)  # which has the sizes of vectors
    assert f"{first} has not the columns of vectors of images: get the artefact again" == refused(*ask)
    assert done("query", "heads", "-f", "csv", "-i", own)


def test_no_artefact_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is not an index: it has no catalog.duckdb" in refused("query", "heads", "-i", tmp_path / "empty")
    assert "no index at" in refused("query", "heads", "-i", tmp_path / "none")


def test_the_manifest_itself_is_named(exported: Path) -> None:
    said = refused("query", "heads", "-i", exported / "manifest.json")
    assert said == f"{exported / 'manifest.json'} is a file of an artefact: name the directory, {exported}"


@pytest.mark.parametrize("name", ["st*r", "wh?"])
def test_what_duckdb_would_take_for_a_pattern(own: Path, tmp_path: Path, name: str) -> None:
    said = refused("query", "heads", "-i", own.rename(tmp_path / name))
    assert said == f"{tmp_path / name} can't be read: DuckDB takes * and ? for patterns: rename the directory"
