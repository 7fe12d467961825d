"""Vector indexes of heads: what they find, and that they live with everything else that an index goes through."""

from __future__ import annotations

import shutil
from pathlib import Path

import lance
import numpy as np
import pytest
from built_index import LAYERS, Built, build
from twin_images import add_twins

import clipdb
from clipdb.errors import ClipdbError, Stopped
from clipdb.queries.holdings import holdings
from clipdb.schema.vectors import images_path

MODEL, IMAGES, ASKED = "one/a", 1100, 7
HEAD = "L2.H0"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index without vector indexes."""
    return build(tmp_path_factory.mktemp("plain") / "plain.clipdb", images=IMAGES, seed=4)


@pytest.fixture(scope="module")
def indexed(plain: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One with a vector index of each head of layers 1 and 2 that is called a colour."""
    path = tmp_path_factory.mktemp("indexed") / "indexed.clipdb"
    shutil.copytree(plain.path, path, symlinks=True)
    made = clipdb.index_vectors(path, "L1.H0,L1.H1,L2.H0", partitions=6, progress=False)
    assert list(made) == ["L1.H0", "L1.H1", HEAD]
    assert all(one.recall >= 0.99 and one.nprobes <= one.partitions == 6 for one in made.values())
    return Built(path, plain.ids, plain.vectors, plain.files)


@pytest.fixture
def own(indexed: Built, tmp_path: Path) -> Built:
    """A copy to write to."""
    return Built(
        Path(shutil.copytree(indexed.path, tmp_path / "own.clipdb", symlinks=True)), indexed.ids, indexed.vectors
    )


def nearest(built: Built, head: tuple[int, int], row: int, k: int = 10) -> list[tuple[str, float]]:
    """Find neighbours in float64, written out."""
    vectors = built.vectors[MODEL, *head]
    cosines = vectors @ vectors[row] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[row])
    order = [n for n in np.argsort(-np.nan_to_num(cosines, nan=-2)) if n != row]
    return [(built.ids[n], cosines[n]) for n in order[:k]]


def about(path: Path) -> dict[str, tuple[int, str]]:
    with clipdb.open(path) as db:
        return {row[2]: row[3:] for row in holdings(db).fetchall() if row[1] == "vector index"}


def ask(path: Path, **given: object) -> list[dict[str, object]]:
    with clipdb.open(path) as db:
        return db.rows("neighbours", **({"head": HEAD} | given))


def test_scores_are_exact_and_most_neighbours_are_found(indexed: Built) -> None:
    hits = []
    with clipdb.open(indexed.path) as db:
        for head, name in (((2, 0), HEAD), ((1, 0), "L1.H0")):
            for row in range(30):
                expected = nearest(indexed, head, row)
                found = db.rows("neighbours", head=name, image=indexed.ids[row])
                exact = db.rows("neighbours", head=name, image=indexed.ids[row], exact=True)
                assert [one["image_id"] for one in exact] == [image for image, _ in expected]
                assert [one["rank"] for one in found] == list(range(1, 11))
                truth = dict(nearest(indexed, head, row, IMAGES))
                assert all(one["score"] == pytest.approx(truth[one["image_id"]], abs=1e-6) for one in found)
            for row in range(150):  # of fewer, one that lies badly among the partitions decides
                found = {one["image_id"] for one in db.rows("neighbours", head=name, image=indexed.ids[row])}
                hits.append(len(found & {image for image, _ in nearest(indexed, head, row)}))
    assert np.mean(hits) >= 9.9  # of ten


def test_where_all_partitions_are_searched_nothing_differs(indexed: Built, tmp_path: Path) -> None:
    path = Path(shutil.copytree(indexed.path, tmp_path / "all.clipdb", symlinks=True))
    clipdb.index_vectors(path, HEAD, partitions=1, progress=False)
    with clipdb.open(path) as db:
        for image in indexed.ids[:10]:
            for function, about in (("neighbours", {"image": image}), ("text_neighbours", {"text": "two apples"})):
                found, exact = (db.rows(function, head=HEAD, k=20, **about, exact=exact) for exact in (False, True))
                assert [one["image_id"] for one in found] == [one["image_id"] for one in exact]
                assert [one["score"] for one in found] == pytest.approx([one["score"] for one in exact], abs=1e-6)


def test_it_says_that_an_index_chose_and_info_how_good_it_is(
    indexed: Built, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipdb._util.notes._on_stderr", False)  # where the command line ran in this process before
    caplog.set_level("INFO", "clipdb")
    with clipdb.open(indexed.path) as db:
        for _ in range(2):
            db.rows("neighbours", head=HEAD, image=indexed.ids[0])
        told = [one.message for one in caplog.records if "vector index" in one.message]
        assert len(told) == 1 and told[0].startswith(f"note: a vector index of {HEAD} chose the images, recall@10 ")
        caplog.clear()
        for asked in ({"exact": True}, {"measure": "dot"}, {"measure": "centred"}, {"head": "L2.H2"}):
            db.rows("neighbours", **({"head": HEAD, "image": indexed.ids[0]} | asked))
        in_sql = "select count(*) from neighbours(null, $head, $image, exact := true)"
        assert db.sql(in_sql, head=HEAD, image=indexed.ids[0]).fetchone() == (10,)
    assert not caplog.records
    told_of = about(indexed.path)
    assert list(told_of) == ["L1.H0", "L1.H1", HEAD]
    assert told_of[HEAD][0] == IMAGES and told_of[HEAD][1].startswith("ivf_flat, recall@10 ")


@pytest.mark.parametrize("compact", [False, True])
def test_images_that_come_later_are_found(own: Built, compact: bool) -> None:
    newer = [f"{number:064x}" for number in range(3)]
    add_twins(own.path, MODEL, ASKED, newer, compact=compact)
    found = ask(own.path, image=own.ids[ASKED], k=3)
    assert [one["image_id"] for one in found] == newer and all(one["score"] == pytest.approx(1) for one in found)
    covered, note = about(own.path)[HEAD]
    if compact:
        assert covered == IMAGES + 3 and "beside" not in note
    else:
        assert covered == IMAGES and note.endswith("3 images beside it are searched one by one")


def test_a_reader_keeps_its_state_and_sees_the_index_once_it_refreshes(own: Built) -> None:
    with clipdb.open(own.path) as db:
        before = db.rows("neighbours", head=HEAD, image=own.ids[0])
        assert clipdb.drop_vector_indexes(own.path, "all") == ["L1.H0", "L1.H1", HEAD]
        assert db.rows("neighbours", head=HEAD, image=own.ids[0]) == before
        assert db.refresh() and db.context.store.vector_index(MODEL, (2, 0)) is None
        assert [one["image_id"] for one in db.rows("neighbours", head=HEAD, image=own.ids[0])] == [
            image for image, _ in nearest(own, (2, 0), 0)
        ]
    assert about(own.path) == {}
    clipdb.index_vectors(own.path, "L2.H1", partitions=2, progress=False)
    assert len(list(images_path(own.path, MODEL).glob("_indices/*"))) == 1  # nobody reads the others any more
    with pytest.raises(ClipdbError, match="none of these heads of one/a has a vector index"):
        clipdb.drop_vector_indexes(own.path, HEAD)


@pytest.mark.parametrize("described", [False, True])
def test_an_index_that_a_kill_left_uncommitted_is_rolled_back(own: Built, described: bool) -> None:
    dataset = lance.dataset(str(images_path(own.path, MODEL)))
    dataset.create_index("l2h2", "IVF_FLAT", name="l2h2_vectors", metric="cosine", num_partitions=2)
    if described:
        dataset.update_config({"clipdb.vector_index.l2h2": dataset.config()["clipdb.vector_index.l2h0"]})
    assert "L2.H2" not in about(own.path)
    clipdb.index_vectors(own.path, "L2.H1", partitions=2, progress=False)  # the next writer
    assert list(about(own.path)) == ["L1.H0", "L1.H1", HEAD, "L2.H1"]
    assert len(ask(own.path, head="L2.H2", image=own.ids[0])) == 10
    assert [one for one in clipdb.verify(own.path) if one.problem] == []


def test_what_is_done_stays_after_ctrl_c(own: Built) -> None:
    clipdb.drop_vector_indexes(own.path, "all")

    def stop_at_the_second(stage: str, done: int, total: int | None) -> None:
        assert (stage, total) == ("heads", len(LAYERS) * 3)
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"^1 head indexed; the same command resumes"):
        clipdb.index_vectors(own.path, "all", partitions=2, progress=stop_at_the_second)
    assert list(about(own.path)) == ["L1.H0"]
    made = clipdb.index_vectors(own.path, "L1.H0,L1.H1", partitions=2, progress=False)
    assert list(about(own.path)) == ["L1.H0", "L1.H1"] and made["L1.H0"].run < made["L1.H1"].run  # it went on


def test_an_export_leaves_them_behind(indexed: Built, tmp_path: Path) -> None:
    clipdb.export(indexed.path, tmp_path / "exported", what="all")
    found = ask(tmp_path / "exported", image=indexed.ids[ASKED], exact=False)
    assert [one["image_id"] for one in found] == [image for image, _ in nearest(indexed, (2, 0), ASKED)]
    assert about(tmp_path / "exported") == {}
    with pytest.raises(ClipdbError, match=r"is an artefact, made for reading: `clipdb import"):
        clipdb.index_vectors(tmp_path / "exported", HEAD)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "hnsw"}, "'hnsw' is no type of vector index: take ivf_flat or ivf_rq"),
        ({"heads": "L2.H9"}, "has no vectors of head L2.H9: `clipdb query heads"),
        ({"heads": "head 3"}, "'head 3' is not a head"),
        ({"heads": " , "}, "no heads are named: write L11.H3"),
        ({"heads": "layer=2"}, "layer= names no heads: write L11.H3"),
        ({"heads": "property=smell"}, "no head of one/a carries 'smell': properties here are colour, counting, shape"),
        ({"model": "two/b"}, "has no images of model two/b: it has one/a"),
        ({"type": "ivf_rq"}, "size is a multiple of 8, and those of L2.H0 have 4 numbers: take ivf_flat"),
        ({"partitions": 1101}, "L2.H0 of one/a has 1,100 vectors, which can't be cut into 1,101 partitions"),
        ({"heads": "property=colour,L2.H2"}, "is no property: name one property, or heads with commas"),
    ],
)
def test_what_cannot_be_indexed_is_refused_in_a_line(plain: Built, given: dict[str, object], message: str) -> None:
    before = about(plain.path)
    with pytest.raises(ClipdbError) as caught:
        clipdb.index_vectors(plain.path, **({"heads": HEAD} | given), progress=False)  # type: ignore[arg-type]
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert about(plain.path) == before == {}


def test_too_few_images_need_none(tmp_path: Path) -> None:
    few = build(tmp_path / "few.clipdb")
    with pytest.raises(ClipdbError, match=r"L2\.H0 of one/a has 40 vectors and a vector index takes at least 1,000"):
        clipdb.index_vectors(few.path, HEAD)


def test_a_quantised_index_compares_stored_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("built_index.HEAD_DIM", 16)
    monkeypatch.setattr("built_index.EMBED", 32)
    wide = build(tmp_path / "wide.clipdb", images=IMAGES, seed=6)
    made = clipdb.index_vectors(wide.path, HEAD, type="ivf_rq", partitions=4, progress=False)[HEAD]
    assert made.type == "ivf_rq" and made.recall >= 0.99
    expected = dict(nearest(wide, (2, 0), ASKED))
    found = ask(wide.path, image=wide.ids[ASKED])
    assert len(expected.keys() & {one["image_id"] for one in found}) >= 9
    assert found[0]["score"] == pytest.approx(max(expected.values()), abs=1e-6)
