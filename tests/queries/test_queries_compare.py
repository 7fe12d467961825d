"""Two models head by head: who is compared with whom, and what is said of it."""

from __future__ import annotations

import shutil
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from built_index import HEADS, LAYERS, Built, build
from plain_pairs import cka, distance, explained, overlap
from support import change, done, refused

import clipdb
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.assignment import assign

EVERY = list(product(LAYERS, range(HEADS)))


def name(head: tuple[int, int]) -> str:
    return f"L{head[0]}.H{head[1]}"


def vectors(built: Built, one: tuple, other: tuple, images: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the images that have both, in order of ids, the first of them if ``images`` says so."""
    rows = np.argsort(built.ids)
    x, y = built.vectors[one][rows], built.vectors[other][rows]
    there = ~np.isnan(x[:, 0] + y[:, 0])
    return (x[there][:images], y[there][:images]) if images else (x[there], y[there])


@pytest.fixture
def pair(two: Built, tmp_path: Path) -> Built:
    """Two models over the same images, the second a fine-tune of the first."""
    path = tmp_path / "pair.clipdb"
    shutil.copytree(two.path, path, symlinks=True)
    change(path, "update models set base = 'one/a' where model_id = 'two/b'")
    return Built(path, two.ids, two.vectors, two.files)


def stored_bases(db: clipdb.Index) -> dict[tuple[str, str], np.ndarray]:
    rows = db.sql("select model_id, name, basis from heads").fetchall()
    return {row[:2]: np.reshape(row[2], (8, 4)) for row in rows}


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 2), (5, 5), (6, 4)])
@pytest.mark.parametrize("whole", [False, True])
def test_an_assignment_is_the_best_of_all(shape: tuple[int, int], whole: bool) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        gains = rng.normal(size=shape) if not whole else rng.integers(0, 3, size=shape).astype(float)
        found = assign(gains)
        rows, columns = sorted(shape)
        least = gains if shape[0] <= shape[1] else gains.T
        orders = permutations(range(columns), rows)
        best = max(sum(least[row, place] for row, place in enumerate(order)) for order in orders)
        assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found) == rows
        assert sum(gains[one] for one in found) == pytest.approx(best)


@pytest.mark.parametrize("images", [0, 25])
def test_heads_are_compared_by_position_and_as_defined(pair: Built, images: int) -> None:
    with clipdb.open(pair.path) as db:
        rows = db.sql("from compare_heads('one/a', 'two/b', images := $n)", n=images).fetchall()
        bases = stored_bases(db)
    assert [row[2:4] for row in rows] == [(name(head), name(head)) for head in EVERY]
    for head, row in zip(EVERY, rows, strict=True):
        x, y = vectors(pair, ("one/a", *head), ("two/b", *head), images)
        q_x, q_y = bases["one/a", name(head)], bases["two/b", name(head)]
        expected = [overlap(q_x, q_y), cka(x, y), explained(x, y), explained(y, x), distance(x, y, q_x, q_y)]
        np.testing.assert_allclose(row[4:9], expected, atol=1e-5)
        assert row[:2] == ("one/a", "two/b") and row[9:] == (len(x), "position")


def test_an_assignment_has_the_largest_sum_of_cka(pair: Built) -> None:
    with clipdb.open(pair.path) as db:
        rows = db.sql("from compare_heads('one/a', 'two/b', 'assignment')").fetchall()
    gains = [[cka(*vectors(pair, ("one/a", *one), ("two/b", *other))) for other in EVERY] for one in EVERY]
    best = max(sum(gains[row][place] for row, place in enumerate(order)) for order in permutations(range(6)))
    assert sum(row[5] for row in rows) == pytest.approx(best, abs=1e-6)
    assert {row[3] for row in rows} == {name(head) for head in EVERY} and {row[10] for row in rows} == {"assignment"}


def moved(path: Path) -> Built:
    """Let heads of two/b be heads of one/a, in another order, turned and scaled, the others nothing of them."""
    import lance
    import pyarrow as pa

    from clipdb.schema.vectors import images_path

    built = build(path, ("one/a", "two/b"), images=60)
    place = str(images_path(path, "two/b"))
    table = lance.dataset(place).to_table()
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))
    for to, source in {(2, 2): (2, 0), (2, 1): (2, 1), (2, 0): (1, 2)}.items():
        column = table.schema.get_field_index(f"l{to[0]}h{to[1]}")
        values = 3 * np.nan_to_num(built.vectors[("one/a", *source)]) @ turn
        field = table.schema.field(column)
        table = table.set_column(column, field, pa.array(list(values.astype(np.float16)), field.type))
    version = lance.write_dataset(table, place, mode="overwrite").version
    change(path, "update batches set lance_version = ? where kind = 'images' and model_id = 'two/b'", version)
    return built


def test_heads_that_changed_places_are_found_again(tmp_path: Path) -> None:
    built = moved(tmp_path / "moved.clipdb")
    truth = {"L2.H0": "L2.H2", "L2.H1": "L2.H1", "L1.H2": "L2.H0"}
    with clipdb.open(built.path) as db:
        assigned = dict(db.query.compare(by="assignment").project("head, other").fetchall())
        matched = {row[0]: row[1:] for row in db.query.match(a="one/a").project("head, other, cka, mutual").fetchall()}
        (alone,) = db.query.match("L1.H2").project("head, other").fetchall()
        most = db.query.match("L2.H0", k=3).project("other, rank, cka").fetchall()
    for head, other in truth.items():
        assert assigned[head] == matched[head][0] == other
        assert matched[head][1] > 0.98 and matched[head][2]
    assert alone == ("L1.H2", "L2.H0")
    assert [row[1] for row in most] == [1, 2, 3] and most[0][0] == "L2.H2" and most[0][2] > most[1][2] > most[2][2]


def test_heads_of_models_of_other_sizes_are_left_over(tmp_path: Path) -> None:
    built = moved(tmp_path / "moved.clipdb")
    change(built.path, "update models set heads = 4 where model_id = 'two/b'")
    with clipdb.open(built.path) as db:
        assert {row[0] for row in db.sql("select aligned from compare_heads(null, null)").fetchall()} == {"assignment"}
    shrink(built.path, "two/b", ["l2h1"])
    with clipdb.open(built.path) as db:
        by_position = db.query.compare(by="position").project("head, other, cka").fetchall()
        assigned = db.query.compare().project("head, other, cka").fetchall()
    assert ("L2.H1", None, None) in by_position and len(by_position) == 6
    assert sum(row[1] is None for row in assigned) == 1 and len(assigned) == 6


def shrink(path: Path, model: str, columns: list[str]) -> None:
    """Take heads out of a model."""
    import lance

    from clipdb.schema.vectors import images_path

    place = str(images_path(path, model))
    table = lance.dataset(place).to_table().drop_columns(columns)
    version = lance.write_dataset(table, place, mode="overwrite").version
    change(path, "update batches set lance_version = ? where kind = 'images' and model_id = ?", version, model)


def test_labels_spans_and_shares_stand_side_by_side(pair: Built) -> None:
    change(pair.path, "update labels set property = 'COLOUR.' where model_id = 'two/b' and (layer, head) = (1, 0)")
    change(pair.path, "delete from labels where model_id = 'two/b' and layer = 2 and head in (0, 2)")
    change(pair.path, "delete from spans where model_id = 'two/b' and rank > 2 and (layer, head) = (1, 1)")
    change(pair.path, "delete from spans where model_id = 'two/b' and (layer, head) = (1, 2)")
    with clipdb.open(pair.path) as db:
        rows = {
            row[0]: row[1:] for row in db.query.compare().project("head, label, spans_common, variance, a").fetchall()
        }
        first = db.query.compare(top=1).project("head, spans_common").fetchall()
    assert {head: row[0] for head, row in rows.items()} == {
        "L1.H0": "kept", "L1.H1": "changed", "L1.H2": "changed", "L2.H0": "lost", "L2.H1": "changed", "L2.H2": None
    }  # fmt: skip
    assert {head: row[1] for head, row in rows.items()} == {
        "L1.H0": 5, "L1.H1": 2, "L1.H2": None, "L2.H0": 5, "L2.H1": 5, "L2.H2": 5
    }  # fmt: skip
    assert sum(row[2] for row in rows.values()) == pytest.approx(1) and {row[3] for row in rows.values()} == {"one/a"}
    assert {row[1] for row in first} == {1, None}


def notes(*arguments: object) -> list[str]:
    from support import clipdb as run

    result = run("query", *arguments)
    assert result.exit_code == 0, result.output
    return [line.removeprefix("note: ") for line in result.stderr.splitlines() if line.startswith("note: ")]


def test_what_was_lost_and_what_is_missing_is_said(pair: Built) -> None:
    assert notes("compare", "-i", pair.path) == [
        "lost: colour names 3 heads of one/a and none of two/b; counting names 1 head of one/a and none of two/b; "
        "shape names 1 head of one/a and none of two/b",
        "gained: texture names 6 heads of two/b and none of one/a",
    ]
    change(pair.path, "delete from labels where model_id = 'two/b'")
    change(pair.path, "delete from spans where model_id = 'one/a'")
    assert notes("compare", "-i", pair.path) == [
        f"one/a has no spans to compare: run `clipdb span -i {pair.path}`",
        f"two/b has no names of heads to compare: run `clipdb label -i {pair.path}`",
    ]


def test_models_that_share_no_images(two: Built, tmp_path: Path) -> None:
    path = tmp_path / "apart.clipdb"
    build(path, ("one/a",), content=lambda number: b"another %d" % number)
    shutil.rmtree(path / "vectors" / "two__b.images.lance", ignore_errors=True)
    shutil.copytree(two.path / "vectors" / "two__b.images.lance", path / "vectors" / "two__b.images.lance")
    with clipdb.open(two.path) as db:
        version = db.sql(
            "select max(lance_version) from batches where model_id = 'two/b' and kind = 'images'"
        ).fetchall()
    change(path, "insert into models select * replace ('two/b' as model_id) from models")
    change(path, "insert into bases select * replace ('two/b' as model_id) from bases")
    change(path, "insert into head_statistics select * replace ('two/b' as model_id) from head_statistics")
    change(path, "insert into batches values ('two/b', 'images', 'r', 0, ?, 40, now())", version[0][0])
    assert notes("compare", "-i", path)[0] == "one/a and two/b share no images: cka and distance are empty"
    reason = "one/a and two/b share no images, over which their heads could be compared: run `clipdb ingest images SRC"
    for query in (("compare", "--by", "assignment"), ("match",), ("drift", "--model", "two/b", "--base", "one/a")):
        assert refused("query", *query, "-i", path).startswith(reason)


def test_drift_ranks_heads_by_change(pair: Built) -> None:
    with clipdb.open(pair.path) as db:
        bases = stored_bases(db)
        rows = db.query.drift().project("rank, head, change, base, model_id").fetchall()
        assert (
            db.query.drift(model="two/b", base="one/a").project("rank, head, change, base, model_id").fetchall() == rows
        )
    expected = {
        name(head): distance(
            *vectors(pair, ("one/a", *head), ("two/b", *head)), bases["one/a", name(head)], bases["two/b", name(head)]
        )
        for head in EVERY
    }
    assert [row[1] for row in rows] == sorted(expected, key=lambda head: -expected[head])
    np.testing.assert_allclose([row[2] for row in rows], [expected[row[1]] for row in rows], atol=1e-5)
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6] and {row[3:] for row in rows} == {("one/a", "two/b")}


def test_a_drift_without_a_recorded_base_is_by_cka(two: Built) -> None:
    with clipdb.open(two.path) as db:
        rows = db.query.drift(model="two/b", base="one/a").project("change, cka").fetchall()
    assert all(change == pytest.approx(1 - similar) for change, similar in rows) and len(rows) == 6


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (("compare", "--a", "one/a", "--b", "one/a"), "both models are one/a: choose two different ones"),
        (("compare", "--a", "none/x"), "no model 'none/x' in this index: it has one/a, two/b"),
        (("compare", "--by", "x"), "--by takes auto, position, assignment"),
        (("match", "L9.H0"), "no head L9.H0 in this index"),
        (("match", "--images", "-1"), "images is -1"),
        (("drift",), "choose the fine-tuned model, --model MODEL: no model has a base"),
        (("drift", "--model", "two/b"), "it is not recorded what two/b was fine-tuned from: name it, --base MODEL"),
    ],
)
def test_bad_values_are_said_in_a_line(two: Built, asked: tuple[object, ...], problem: str) -> None:
    assert refused("query", *asked, "-i", two.path).startswith(problem)


def test_spans_from_different_pools_have_nothing_in_common(pair: Built) -> None:
    change(pair.path, "update spans set pool = 'mine' where model_id = 'two/b'")
    assert notes("compare", "-i", pair.path)[0].startswith(
        "one/a and two/b have no spans from one pool: run `clipdb span"
    )
    with clipdb.open(pair.path, model="one/a") as db:  # a model for other questions is no choice of two
        assert {row[0] for row in db.query.compare().project("spans_common").fetchall()} == {None}


def test_one_model_can_not_be_compared(built: Built) -> None:
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError, match="choose two models of this index, --a MODEL"):
        db.query.compare().fetchall()


def test_sql_has_what_the_queries_have(pair: Built) -> None:
    out = done("query", "select head, other from compare_heads(null, null) where head = 'L2.H1'", "-i", pair.path)
    assert "L2.H1" in out
