from __future__ import annotations

from pathlib import Path

import duckdb
import lance
import numpy as np
import pytest
from built_index import Built, build

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.similarity import MEASURES
from clipdb.queries.vectors.cache import VectorStore
from clipdb.queries.vectors.lance_tables import VectorTable
from clipdb.schema import catalog
from clipdb.schema.vectors import images_path

HEAD = "select rank, score, image_id from neighbours($model, $head, $image, $k) order by rank"


def oracle(built: Built, model: str, layer: int, head: int, image: int, k: int) -> list[tuple[str, float]]:
    """Cosines in float64, best first, without the image itself and without null rows."""
    vectors = built.vectors[model, layer, head]
    cosines = vectors @ vectors[image] / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(vectors[image]))
    scored = [(built.ids[row], cosines[row]) for row in range(len(cosines)) if row != image and cosines[row] > -2]
    return sorted(scored, key=lambda pair: -pair[1])[:k]


def agree(found: list[tuple[int, float, str]], expected: list[tuple[str, float]]) -> bool:
    return (
        [row[0] for row in found] == list(range(1, len(expected) + 1))
        and [row[2] for row in found] == [image for image, _ in expected]
        and np.allclose([row[1] for row in found], [score for _, score in expected], atol=1e-6)
    )


@pytest.mark.parametrize("image", [0, 7, 31])
@pytest.mark.parametrize(("layer", "head"), [(1, 0), (2, 1), (2, 2)])
def test_neighbours_equal_a_plain_search(built: Built, layer: int, head: int, image: int) -> None:
    with clipdb.open(built.path) as db:
        given = {"head": f"L{layer}.H{head}", "image": built.ids[image]}
        found = db.sql(HEAD, model="one/a", k=5, **given).fetchall()
        named = db.query.neighbours(k=5, **given).project("rank, score, image_id").fetchall()
    expected = oracle(built, "one/a", layer, head, image, 5)
    assert agree(found, expected) and agree(named, expected)


def test_a_file_or_the_beginning_of_an_id_will_do(built: Built) -> None:
    with clipdb.open(built.path) as db:
        whole = db.query.neighbours(built.ids[3], "L2.H0").fetchall()
        assert len(whole) == 10
        assert db.query.neighbours(built.files[3], "l2h0").fetchall() == whole
        assert db.query.neighbours(built.ids[3][:12].upper(), "L2.H0", model="ONE/A").fetchall() == whole


def test_k_beyond_the_table_gives_all_others(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert len(db.query.neighbours(built.ids[3], "L2.H0", k=1000).fetchall()) == len(built.ids) - 1
        assert len(db.query.neighbours(built.ids[3], "L1.H0", k=1000).fetchall()) == len(built.ids) - 3


def test_images_without_a_vector_are_skipped(built: Built) -> None:
    late = built.ids[-1]
    with clipdb.open(built.path) as db:
        every = db.query.neighbours(built.ids[0], "L1.H1", k=1000).project("image_id").fetchall()
        assert (late,) not in every
        assert db.query.neighbours(late, "L1.H1").fetchall() == []
        assert len(db.query.neighbours(late, "L2.H1").fetchall()) == 10


def test_it_joins_and_correlates(built: Built) -> None:
    query = """
        select images.image_id, heads.name, near.image_id, near.score
        from images, heads, lateral neighbours(heads.model_id, heads.name, images.image_id, 1) as near
        where images.label = 'odd' order by all
    """
    with clipdb.open(built.path) as db:
        found = db.sql(query).fetchall()
    expected = []
    for image in range(1, len(built.ids), 2):
        for model, layer, head in built.vectors:
            if layer == 1 and image == len(built.ids) - 1:
                continue
            best = oracle(built, model, layer, head, image, 1)[0]
            expected.append((built.ids[image], f"L{layer}.H{head}", *best))
    assert [row[:3] for row in found] == [row[:3] for row in sorted(expected)]
    assert np.allclose([row[3] for row in found], [row[3] for row in sorted(expected)], atol=1e-6)


def test_nulls_have_no_neighbours_and_defaults_hold(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert db.sql("select * from neighbours(null, null, null, 3)").fetchall() == []
        one = db.sql("select count(*) from neighbours(null, 'L2.H0', $image)", image=built.ids[0]).fetchall()
        named = db.sql("select count(*) from neighbours(null, 'L2.H0', image := $i, k := 4)", i=built.ids[0]).fetchall()
    assert one == [(10,)] and named == [(4,)]


@pytest.mark.parametrize(
    ("model", "head", "image", "k", "problem"),
    [
        ("none/x", "L1.H0", "", 3, "no model 'none/x' in this index: it has one/a"),
        ("one/a", "L9.H0", "", 3, "no vectors of head L9.H0: its layers here are 1, 2, with 3 heads"),
        ("one/a", "third", "", 3, "'third' is not a head"),
        ("one/a", "L1.H0", "zz", 3, "no image 'zz'"),
        ("one/a", "L1.H0", "", 3, "may be several images among the images of one/a: "),
        ("one/a", "L1.H0", "", 0, "at least 1"),
    ],
)
def test_bad_arguments_in_sql_are_said_in_a_line(
    built: Built, model: str, head: str, image: str, k: int, problem: str
) -> None:
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        db.execute(HEAD, {"model": model, "head": head, "image": image, "k": k})
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_an_error_is_said_once(built: Built) -> None:
    with clipdb.open(built.path) as db:
        late = db.sql("select * from neighbours(null, 'L9.H9', 'a', 3)")
        with pytest.raises(duckdb.InvalidInputException, match=r"no vectors of head L9\.H9"):
            late.fetchall()
        with pytest.raises(duckdb.InvalidInputException, match="mine"):
            db.execute("select error('mine') from image_vectors")


def test_ambiguous_beginnings_are_listed(built: Built) -> None:
    letter = max("0123456789abcdef", key=lambda letter: sum(one.startswith(letter) for one in built.ids))
    found = sorted((one, str(file)) for one, file in zip(built.ids, built.files, strict=True) if one[0] == letter)
    expected = ", ".join(f"{one[:12]} {file}" for one, file in found[:6])
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        db.query.neighbours(letter, "L2.H0")
    more = ", ..." if len(found) > 6 else ""
    assert f"in this index: {expected}{more}: write more" in str(caught.value)


def test_a_warm_search_reads_nothing_again(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with clipdb.open(copy.path) as db:
        cold = [db.rows("neighbours", head="L2.H0", image=copy.ids[0], measure=measure) for measure in MEASURES]
        for file in images_path(copy.path, "one/a").rglob("*.lance"):
            file.unlink()
        warm = [db.rows("neighbours", head="L2.H0", image=copy.ids[0], measure=measure) for measure in MEASURES]
    assert warm == cold and all(len(rows) == 10 for rows in warm)


def test_the_cache_forgets_what_was_used_longest_ago(built: Built) -> None:
    with clipdb.open(built.path) as db:
        store = db.context.store
        first = store.head("one/a", "images", (1, 0))
        small = VectorStore(db.vectors, cache_bytes=first.nbytes)  # two heads, in float16
        for head in ((1, 0), (1, 1), (1, 0), (1, 2)):
            small.head("one/a", "images", head)
        assert small.kept_bytes == first.nbytes
        kept = small.head("one/a", "images", (1, 0))
        assert small.head("one/a", "images", (1, 0)) is kept and np.array_equal(kept[:], first[:], equal_nan=True)


def test_python_asks_without_sql(built: Built) -> None:
    with clipdb.open(built.path) as db:
        rows = db.rows("neighbours", head="L2.H0", image=built.ids[0], k=4)
        in_sql = db.query.neighbours(built.ids[0], "L2.H0", k=4).project("image_id, score, rank").fetchall()
        assert [tuple(row.values()) for row in rows] == in_sql and list(rows[0]) == ["image_id", "score", "rank"]
        for arguments, problem in (
            ({"head": "L2.H0"}, "neighbours needs image"),
            ({"head": "L2.H0", "image": "a", "n": 3}, "neighbours has no parameter 'n': it takes model, head"),
        ):
            with pytest.raises(ClipdbError, match=problem):
                db.rows("neighbours", **arguments)
        with pytest.raises(ClipdbError, match="no table function 'nearest': there are ablate, activating, "):
            db.rows("nearest")


def test_vectors_in_sql_are_those_stored(built: Built) -> None:
    with clipdb.open(built.path) as db:
        names = "image_id, l1h0, l2h2"
        rows = db.sql(f"select {names} from image_vectors").fetchall()
        assert rows == db.sql(f'select {names} from vectors."one/a".images').fetchall()
        assert db.sql('select count(*) from vectors."one/a".texts').fetchall() == [(5,)]
        assert db.sql("select count(*) from text_vectors").fetchall() == [(5,)]
    assert [row[0] for row in rows] == built.ids
    for column, head in ((1, (1, 0)), (2, (2, 2))):
        truth = built.vectors["one/a", *head]
        for row, vector in zip(rows, truth, strict=True):
            assert row[column] is None if np.isnan(vector[0]) else np.array_equal(row[column], vector)


def test_sql_agrees_with_the_oracle_on_scores(built: Built) -> None:
    query = """
        with asked as (select l2h1 as vector from image_vectors where image_id = $image)
        select image_id, array_cosine_similarity(l2h1, (from asked)) as score
        from image_vectors where image_id <> $image order by score desc limit 4
    """
    with clipdb.open(built.path) as db:
        found = db.sql(query, image=built.ids[5]).fetchall()
    expected = oracle(built, "one/a", 2, 1, 5, 4)
    assert [row[0] for row in found] == [row[0] for row in expected]
    assert np.allclose([row[1] for row in found], [row[1] for row in expected], atol=1e-6)


def test_columns_and_filters_go_down_to_lance(built: Built) -> None:
    asked: list[tuple[list[str] | None, str]] = []

    class Watched(VectorTable):
        def scanner(self, columns=None, filter=None, **more):  # type: ignore[no-untyped-def]
            asked.append((columns, str(filter)))
            return super().scanner(columns=columns, filter=filter, **more)

    watched = Watched(lance.dataset(str(images_path(built.path, "one/a"))))
    with duckdb.connect() as connection:
        connection.register("watched", watched)
        query = "select l2h0 from watched where image_id = ? and norm > 1"
        assert len(connection.execute(query, [built.ids[4]]).fetchall()) == 1
        assert connection.execute("select count(*) from watched").fetchall() == [(len(built.ids),)]
        assert connection.execute("select count(*) from watched where l1h0 is null").fetchall() == [(2,)]
    columns, condition = asked[0]
    assert columns is not None and set(columns) == {"image_id", "norm", "l2h0"}
    assert built.ids[4] in condition and "norm" in condition
    assert all(columns is not None and len(columns) <= 3 for columns, _ in asked)


def test_uncommitted_rows_are_not_seen(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    path = str(images_path(copy.path, "one/a"))
    lance.write_dataset(lance.dataset(path).to_table(), path, mode="append")
    with clipdb.open(copy.path) as db:
        assert db.sql("select count(*) from image_vectors").fetchall() == [(len(copy.ids),)]
        assert len(db.query.neighbours(copy.ids[0], "L2.H0", k=1000).fetchall()) == len(copy.ids) - 1


def test_several_models_must_be_told_apart(two: Built) -> None:
    several = r"several models: choose one with --model \(one/a, two/b\)"
    with clipdb.open(two.path) as db:
        for ask in (
            lambda: db.query.neighbours(two.ids[0], "L2.H0"),
            lambda: db.sql("select * from image_vectors"),
            lambda: db.sql("select * from text_vectors"),
            lambda: db.execute("select * from neighbours(null, 'L2.H0', $i, 3)", {"i": two.ids[0]}),
        ):
            with pytest.raises(ClipdbError, match=several):
                ask()
        found = db.query.neighbours(two.ids[0], "L2.H0", model="two/b", k=4)
        assert agree(found.project("rank, score, image_id").fetchall(), oracle(two, "two/b", 2, 0, 0, 4))
        assert db.sql('select count(*) from vectors."two/b".images').fetchall() == [(len(two.ids),)]
    with clipdb.open(two.path, model="two/b") as db:
        vector = db.sql("select l2h0 from image_vectors where image_id = $i", i=two.ids[0]).fetchall()[0][0]
        assert np.array_equal(vector, two.vectors["two/b", 2, 0][0])
        assert len(db.query.neighbours(two.ids[0], "L2.H0").fetchall()) == 10
    with clipdb.open(two.path, model="three/c") as db, pytest.raises(ClipdbError, match="no model 'three/c'"):
        db.sql("select * from image_vectors")


def test_vectors_that_are_gone_are_said(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("update batches set lance_version = 99")
    with clipdb.open(copy.path) as db:
        assert db.sql("select count(*) from heads").fetchall() == [(6,)]
        with pytest.raises(ClipdbError, match=r"not at version 99 as the catalog says: see `clipdb verify"):
            db.sql("select * from image_vectors")
