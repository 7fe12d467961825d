"""An index that is open keeps its state while others write, and threads ask it at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from built_index import Built, build
from support import done, rows

import clipdb
from clipdb import ClipdbError

COUNTS = "select (select count(*) from images), (select count(*) from image_vectors)"


def test_a_held_index_answers_from_its_vectors_while_an_ingest_compacts(
    pictures: list[Path], model: tuple[object, ...], tmp_path: Path
) -> None:
    index = tmp_path / "growing.clipdb"
    ingest = ("ingest", "images", "--workers", 0, *model, "-i", index)
    done(*ingest, *pictures[:8])
    with clipdb.open(index) as held, clipdb.open(index) as another:
        before = held.rows("neighbours", head="L3.H0", image=pictures[0].name)
        for last in (12, 16, 20):
            done(*ingest, *pictures[:last])
        # One has its vectors in memory already, and the other reads files that nobody else needs.
        assert held.rows("neighbours", head="L3.H0", image=pictures[0].name) == before
        assert another.sql(COUNTS).fetchall() == held.sql(COUNTS).fetchall() == [(8, 8)]
        assert another.rows("neighbours", head="L3.H0", image=pictures[0].name) == before
        assert held.stale and held.refresh() and not held.stale and not held.refresh()
        assert held.sql(COUNTS).fetchall() == [(20, 20)]
        assert another.stale and another.sql(COUNTS).fetchall() == [(8, 8)]
    done(*ingest, *pictures[:21])
    [table] = index.glob("vectors/*.images.lance")
    assert len(list((index / "snapshots").iterdir())) == 1
    assert len(list((table / "_refs" / "tags").iterdir())) == 1
    assert len(list((table / "_versions").glob("*.manifest"))) == 1
    assert rows(index, "select count(*) from images") == [(21,)]


def test_a_model_that_was_chosen_is_kept(tmp_path: Path) -> None:
    two = build(tmp_path / "two.clipdb", models=("one/a", "two/b"))
    with clipdb.open(two.path, model="two/b") as index, index.cursor() as other:
        done("ingest", "texts", "--help")
        models = [one.sql("select count(*) from image_vectors").fetchone() for one in (index, other)]
    assert models == [(40,), (40,)]


def test_threads_ask_cursors_of_one_index(built: Built) -> None:
    with clipdb.open(built.path) as index:
        expected = [index.rows("neighbours", head="L1.H0", image=one, k=5) for one in built.ids[:8]]

        def ask(number: int) -> list[list[dict[str, object]]]:
            with index.cursor() as own:
                found = [own.rows("neighbours", head="L1.H0", image=one, k=5) for one in built.ids[:8]]
                in_sql = own.sql(
                    "select image_id from neighbours($model, 'L1.H0', $image, 5)", model="one/a", image=built.ids[0]
                ).fetchall()
                assert [one for (one,) in in_sql] == [row["image_id"] for row in found[0]]
                assert own.query.heads().fetchall()
                return found

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, range(16))) == [expected] * 16
        assert index.rows("neighbours", head="L1.H0", image=built.ids[0], k=5) == expected[0]


def test_a_cursor_outlives_its_index(built: Built) -> None:
    index = clipdb.open(built.path)
    cursor = index.cursor()
    index.close()
    assert cursor.sql(COUNTS).fetchall() == [(40, 40)]
    cursor.close()


def test_cursors_of_an_artefact(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "-i", built.path)
    with clipdb.open(tmp_path / "out") as index, index.cursor() as cursor:
        asked = {"head": "L1.H0", "image": built.ids[0], "k": 3}
        assert cursor.rows("neighbours", **asked) == index.rows("neighbours", **asked)
        assert not index.stale and not index.refresh()


def test_no_files(built: Built) -> None:
    file = str(built.files[0])
    with clipdb.open(built.path) as index:
        assert index.rows("neighbours", head="L1.H0", image=file, k=1)
    with clipdb.open(built.path, files=False) as index:
        stranger = built.path.parent / "other.png"
        stranger.write_bytes(b"no picture")
        for ask in (
            lambda: index.rows("neighbours", head="L1.H0", image=str(stranger)),
            lambda: index.query.neighbours(head="L1.H0", image=str(stranger)),
            lambda: index.sql("from neighbours(null, 'L1.H0', $image, 3)", image=str(stranger)).fetchall(),
        ):
            with pytest.raises(ClipdbError, match="no image"):
                ask()
        assert index.rows("neighbours", head="L1.H0", image=file, k=1), "a uri of the index is a name, too"


def test_no_models(built: Built) -> None:
    with clipdb.open(built.path, models=False) as index:
        with pytest.raises(ClipdbError, match="opened without its models"):
            index.rows("text_neighbours", text="a text that the index lacks", head="L1.H0")
        assert index.rows("text_neighbours", text="a blue thing", head="L1.H0", k=2)


def test_cursors_are_made_in_the_threads_that_use_them(built: Built) -> None:
    for _ in range(5):  # an index that nothing was asked of yet
        with clipdb.open(built.path) as index:

            def ask(number: int, index: clipdb.Index = index) -> object:
                with index.cursor() as own:
                    counts = own.sql(COUNTS).fetchall()
                    return counts, own.rows("neighbours", head="L1.H0", image=built.ids[number % 8], k=2)[0]["score"]

            with ThreadPoolExecutor(6) as pool:
                found = list(pool.map(ask, range(12)))
            assert [counts for counts, _ in found] == [[(40, 40)]] * 12 and found[:4] == found[8:]
