"""Vector indexes of a property's heads together: what they find, and that they live with all an index goes through."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from built_index import RUN, Built, build, insert
from twin_images import add_twins

import clipdb
from clipdb.errors import ClipdbError, Stopped
from clipdb.ingest.store.chosen_heads import together_of
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.ingest.store.property_index import index_together
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.queries.holdings import holdings
from clipdb.schema import catalog
from clipdb.schema.property_index import PropertyIndex
from clipdb.schema.vectors import images_path

MODEL, IMAGES, ASKED = "one/a", 1500, 7
COLOURS = ((1, 0), (1, 1), (2, 0))
NAMES = "L1.H0,L1.H1,L2.H0"
"""The heads that are called a colour."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index without vector indexes."""
    return build(tmp_path_factory.mktemp("plain") / "plain.clipdb", images=IMAGES, seed=4)


@pytest.fixture(scope="module")
def indexed(plain: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One with a vector index of the colour's heads together."""
    path = Path(shutil.copytree(plain.path, tmp_path_factory.mktemp("indexed") / "indexed.clipdb", symlinks=True))
    made = clipdb.index_vectors(path, "property=colour", partitions=6, progress=False)
    assert list(made) == ["L1.H0", "L1.H1", "L2.H0", "property=colour"]
    together = made["property=colour"]
    assert isinstance(together, PropertyIndex)
    assert together.heads == COLOURS and together.images == IMAGES and together.recall >= 0.99
    return Built(path, plain.ids, plain.vectors, plain.files)


@pytest.fixture
def own(indexed: Built, tmp_path: Path) -> Built:
    """A copy to write to."""
    path = Path(shutil.copytree(indexed.path, tmp_path / "own.clipdb", symlinks=True))
    return Built(path, indexed.ids, indexed.vectors)


@cache
def bases_of(path: Path) -> dict[tuple[int, int], np.ndarray]:
    with clipdb.open(path) as db:
        rows = db.execute("select layer, head, basis from bases").fetchall()
    return {(layer, head): np.array(basis).reshape(-1, 4) for layer, head, basis in rows}


def cosines(built: Built, row: int) -> np.ndarray:
    """Compare an image with all in the heads of the colour together, in float64, written out; the means are zero."""
    bases = bases_of(built.path)
    x = sum(built.vectors[MODEL, *head] @ bases[head].T for head in COLOURS)
    with np.errstate(invalid="ignore", divide="ignore"):
        return x @ x[row] / np.linalg.norm(x, axis=1) / np.linalg.norm(x[row])


def nearest(built: Built, row: int, k: int = 10) -> dict[str, float]:
    scores = cosines(built, row)
    order = [n for n in np.argsort(-np.nan_to_num(scores, nan=-2)) if n != row]
    return {built.ids[n]: scores[n] for n in order[:k]}


def ask(path: Path, **given: object) -> list[dict[str, object]]:
    with clipdb.open(path) as db:
        return db.rows("property_neighbours", **({"like": "colour"} | given))


def about(path: Path) -> dict[str, tuple[int, str]]:
    """Return what info says of vector indexes of several heads, by name."""
    with clipdb.open(path) as db:
        found = {row[2]: row[3:] for row in holdings(db).fetchall() if row[1] == "vector index"}
    return {name: said for name, said in found.items() if "ivf" not in said[1]}


def change(path: Path, sql: str) -> None:
    with catalog.changing(path) as connection:
        connection.execute(sql)


def test_scores_are_exact_and_most_neighbours_are_found(indexed: Built) -> None:
    hits = []
    with clipdb.open(indexed.path) as db:
        for row in range(150):
            truth, expected = cosines(indexed, row), nearest(indexed, row)
            found = db.rows("property_neighbours", like="colour", image=indexed.ids[row])
            assert [one["rank"] for one in found] == list(range(1, 11))
            for one in found:
                assert one["score"] == pytest.approx(truth[indexed.ids.index(one["image_id"])], abs=1e-6)
            hits.append(len({one["image_id"] for one in found} & expected.keys()))
        exact = db.rows("property_neighbours", like="colour", image=indexed.ids[ASKED], exact=True)
    assert np.mean(hits) >= 9.9  # of ten
    assert [one["image_id"] for one in exact] == list(nearest(indexed, ASKED))


@pytest.mark.parametrize("kept", [False, True])
def test_where_all_partitions_are_searched_nothing_differs(own: Built, kept: bool) -> None:
    twins = [f"{number:064x}" for number in range(3)]
    add_twins(own.path, MODEL, ASKED, twins)
    clipdb.index_vectors(own.path, "property=colour", partitions=1, progress=False)
    change(own.path, f"update property_indexes set compared = {IMAGES}")
    with clipdb.open(own.path) as db:
        if kept:
            db.rows("property_neighbours", like="colour", image=own.ids[0], exact=True)  # which keeps all vectors
        for image in (*own.ids[:10], twins[1]):
            for k in (1, 20, IMAGES + 3):
                given = {"like": "color", "image": image, "k": k}
                found = db.rows("property_neighbours", **given)
                exact = db.rows("property_neighbours", **given, exact=True)
                assert [one["score"] for one in found] == pytest.approx([one["score"] for one in exact], abs=1e-6)
                assert [one["image_id"] for one in found[:20]] == [one["image_id"] for one in exact[:20]]
        assert (
            len(found) == IMAGES
        )  # of as many and three: itself and two that haven't been through layer 1 are left out


def test_as_many_are_found_as_are_asked_for(own: Built) -> None:
    change(own.path, "update property_indexes set nprobes = 1")
    found = ask(own.path, image=own.ids[ASKED], k=IMAGES)
    assert len(found) == IMAGES - 3  # itself and two that haven't been through layer 1 are left out


@pytest.mark.parametrize("compact", [False, True])
def test_images_that_come_later_are_found(own: Built, compact: bool) -> None:
    newer = [f"{number:064x}" for number in range(3)]
    add_twins(own.path, MODEL, ASKED, newer, compact=compact)
    found = ask(own.path, image=own.ids[ASKED], k=3)
    assert [one["image_id"] for one in found] == newer and all(one["score"] == pytest.approx(1) for one in found)
    covered, note = about(own.path)["colour"]
    assert covered == IMAGES and note.endswith("partitions; 3 images beside it are searched one by one")
    before = clipdb.index_vectors(own.path, "property=colour", partitions=6, progress=False)
    assert before["property=colour"].images == IMAGES + 3
    assert "beside" not in about(own.path)["colour"][1]
    again = clipdb.index_vectors(own.path, "property=colour", partitions=6, progress=False)
    assert again == before  # nothing is made twice


def test_images_that_are_run_again_make_it_unused(own: Built) -> None:
    """Those without vectors of layer 1 were the last; now they have those of another."""
    add_twins(own.path, MODEL, ASKED, own.ids[-2:], merge=True)
    found = ask(own.path, image=own.ids[ASKED], k=2)
    assert {one["image_id"] for one in found} == set(own.ids[-2:])
    assert about(own.path)["colour"][1].endswith(
        "not used, as images are in other places now: run `clipdb index --heads property=colour`"
    )


def test_it_says_that_an_index_chose(
    indexed: Built, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipdb._util.notes._on_stderr", False)  # where the command line ran in this process before
    caplog.set_level("INFO", "clipdb")
    image = indexed.ids[0]
    with clipdb.open(indexed.path) as db:
        for _ in range(2):
            db.rows("property_neighbours", like="colour", image=image)
        (told,) = [one.message for one in caplog.records if "vector index" in one.message]
        assert told.startswith("note: a vector index of colour chose the images, recall@10 ")
        caplog.clear()
        others = ({"space": "heads"}, {"unlike": "shape"}, {"like": "colour,shape"}, {"like": "shape"})
        for asked in ({"exact": True}, *others):
            db.rows("property_neighbours", **({"like": "colour", "image": image} | asked))
        in_sql = "select count(*) from property_neighbours(null, $image, 'colour', exact := true)"
        assert db.sql(in_sql, image=image).fetchone() == (10,)
        assert not caplog.records
        expected = [one["image_id"] for one in db.rows("property_neighbours", like="colour", image=image)]
        in_sql = "select image_id from property_neighbours(null, $image, 'colour') order by rank"
        assert [one for (one,) in db.sql(in_sql, image=image).fetchall()] == expected


def test_other_heads_of_the_property_are_compared_one_by_one(own: Built) -> None:
    label = (MODEL, 2, 2, "general", "human:one", RUN, "colour", None, None, None, None, "ok", None)
    with catalog.changing(own.path) as connection:
        ((now,),) = connection.execute("select max(created_at) from labels").fetchall()
        insert(connection, "labels", [(*label, now)])
    both = [ask(own.path, image=own.ids[0], exact=exact) for exact in (False, True)]
    assert both[0] == both[1] and [one["image_id"] for one in both[0]] != list(nearest(own, 0))
    ((name, (_, note)),) = about(own.path).items()
    assert name == NAMES and note.endswith("not used: no property is of just these heads now")
    made = clipdb.index_vectors(own.path, "property=colour", partitions=6, progress=False)
    assert made["property=colour"].heads == (*COLOURS, (2, 2))
    assert list(about(own.path)) == ["colour"]  # the one that nothing uses went
    with catalog.connect(own.path) as connection:
        assert connection.execute("select distinct heads from property_index_parts").fetchall() == [(f"{NAMES},L2.H2",)]


def test_dropping(own: Built) -> None:
    with clipdb.open(own.path) as db:
        before = db.rows("property_neighbours", like="colour", image=own.ids[0])
        assert clipdb.drop_vector_indexes(own.path, "L1.H0") == ["L1.H0"]
        assert list(about(own.path)) == ["colour"]
        assert clipdb.drop_vector_indexes(own.path, "property=colour") == ["L1.H1", "L2.H0", NAMES]
        assert db.rows("property_neighbours", like="colour", image=own.ids[0]) == before  # of its own state
    assert about(own.path) == {}
    assert list(nearest(own, 0)) == [one["image_id"] for one in ask(own.path, image=own.ids[0])]
    with pytest.raises(ClipdbError, match="none of these heads of one/a has a vector index"):
        clipdb.drop_vector_indexes(own.path, "all")
    with catalog.connect(own.path) as connection:
        assert connection.execute("select count(*) from property_index_parts").fetchone() == (0,)


def test_images_without_a_direction_are_no_neighbours(tmp_path: Path) -> None:
    built = build(tmp_path / "zero.clipdb", images=IMAGES, seed=5)
    table = lance.dataset(str(images_path(built.path, MODEL)))
    zero = pa.array([[0.0] * 4] * 2, pa.list_(pa.float16(), 4))
    rows = table.take([3, 4])
    for head in ("l1h0", "l1h1", "l2h0"):
        rows = rows.set_column(rows.schema.get_field_index(head), table.schema.field(head), zero)
    with Writer(built.path, "ingest images", {}) as writer:
        kept = rows.drop_columns(["_run", "_batch"])
        VectorTable(writer, MODEL, "images").commit(kept, lambda connection: None, merge=True)
    clipdb.index_vectors(built.path, "property=colour", partitions=2, progress=False)
    assert ask(built.path, image=built.ids[3]) == []
    found = {one["image_id"] for one in ask(built.path, image=built.ids[0], k=IMAGES)}
    assert len(found) == IMAGES - 5 and not found & {*built.ids[3:5], *built.ids[-2:]}
    with Writer(built.path, "index", {}) as writer, pytest.raises(ClipdbError) as caught:
        index_together(ModelTables(writer, MODEL), COLOURS, 1300)
    assert str(caught.value) == (
        f"1,496 of 1,500 images have a direction in {NAMES} together, which are too few for 1,300 partitions"
    )


def test_ctrl_c_before_the_last_keeps_the_heads(plain: Built, tmp_path: Path) -> None:
    path = Path(shutil.copytree(plain.path, tmp_path / "own.clipdb", symlinks=True))

    def stop_at_the_last(stage: str, done: int, total: int | None) -> None:
        assert (stage, total) == ("heads", len(COLOURS) + 1)
        if done == len(COLOURS):
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"^3 heads indexed; the same command resumes"):
        clipdb.index_vectors(path, "property=colour", partitions=6, progress=stop_at_the_last)
    assert about(path) == {} and len(ask(path, image=plain.ids[0])) == 10
    clipdb.index_vectors(path, "property=colour", partitions=6, progress=False)
    assert list(about(path)) == ["colour"]


KILLED = """
import sys, time, clipdb
def wait_at_the_last(stage, done, total):
    if done + 1 == total:
        print("three heads are done", flush=True)
        time.sleep(60)
clipdb.index_vectors(sys.argv[1], "property=colour", partitions=3, progress=wait_at_the_last)
"""


def test_a_kill_leaves_the_index_that_there_was(own: Built) -> None:
    before = ask(own.path, image=own.ids[0])
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(own.path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "three heads are done\n"
    child.kill()
    child.wait()
    assert ask(own.path, image=own.ids[0]) == before
    made = clipdb.index_vectors(own.path, "property=colour", partitions=3, progress=False)
    assert made["property=colour"].partitions == 3
    assert [one for one in clipdb.verify(own.path) if one.problem] == []


def test_an_export_leaves_it_behind(indexed: Built, tmp_path: Path) -> None:
    clipdb.export(indexed.path, tmp_path / "exported", what="all")
    found = ask(tmp_path / "exported", image=indexed.ids[ASKED], exact=False)
    assert [one["image_id"] for one in found] == list(nearest(indexed, ASKED))
    assert about(tmp_path / "exported") == {}


def test_an_index_from_before_there_were_any_is_upgraded(plain: Built, tmp_path: Path) -> None:
    path = Path(shutil.copytree(plain.path, tmp_path / "old.clipdb", symlinks=True))
    change(path, "drop table property_indexes; drop table property_index_parts; update clipdb_schema set version = 9")
    with pytest.raises(ClipdbError, match="run `clipdb upgrade "):
        ask(path, image=plain.ids[0])
    clipdb.upgrade(path)
    assert [one["image_id"] for one in ask(path, image=plain.ids[0])] == list(nearest(plain, 0))
    clipdb.index_vectors(path, "property=colour", partitions=6, progress=False)
    assert list(about(path)) == ["colour"]


def test_heads_of_the_pooling_are_apart() -> None:
    found = together_of([(-1, 0), (1, 0)], " property=colour")
    assert found == {"property=colour, pool": [(-1, 0)], "property=colour, trunk": [(1, 0)]}
