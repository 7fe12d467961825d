from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_index import Built, build
from plain_pairs import cka, explained

import clipdb
from clipdb.errors import ClipdbError
from clipdb.models.head_similarity import Side, compare
from clipdb.schema import catalog

HEADS = [(layer, head) for layer in (1, 2) for head in range(3)]


def name(head: tuple[int, int]) -> str:
    return f"L{head[0]}.H{head[1]}"


def both(built: Built, one: tuple[int, int], other: tuple[int, int], images: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the images that have both, in order of ids, the first of them if ``images`` says so."""
    rows = np.argsort(built.ids)
    x, y = built.vectors["one/a", *one][rows], built.vectors["one/a", *other][rows]
    there = ~np.isnan(x[:, 0] + y[:, 0])
    x, y = x[there], y[there]
    return (x[:images], y[:images]) if images else (x, y)


@pytest.mark.parametrize("images", [0, 25])
def test_every_pair_equals_the_definitions(built: Built, images: int) -> None:
    with clipdb.open(built.path) as db:
        found = {row[:2]: row[2:] for row in db.sql("from alike(null, images := $n)", n=images).fetchall()}
        bases = {row[0]: np.reshape(row[1], (8, 4)) for row in db.sql("select name, basis from heads").fetchall()}
    assert len(found) == 30
    for one in HEADS:
        for other in HEADS:
            if one == other:
                continue
            shared, similar, share, number = found[name(one), name(other)]
            x, y = both(built, one, other, images)
            angles = np.linalg.svd(bases[name(one)].T @ bases[name(other)], compute_uv=False)
            assert number == len(x) == (images or (38 if 1 in (one[0], other[0]) else 40))
            assert shared == pytest.approx(np.mean(angles**2), abs=1e-6)
            assert similar == pytest.approx(cka(x, y), abs=1e-6)
            assert share == pytest.approx(explained(x, y), abs=1e-5)


def test_one_head_is_compared_with_all_others(built: Built) -> None:
    with clipdb.open(built.path) as db:
        every = db.sql("from alike(null) where head = 'L2.H0' order by other").fetchall()
        alone = db.sql("from alike(null, 'l2.h0') order by other").fetchall()
        rows = db.query.alike("L2.H0").fetchall()
        joined = db.sql("select count(*) from heads, lateral alike(model_id, heads.name)").fetchall()
    assert len(every) == 5 and joined == [(30,)]
    assert [row[:2] for row in alone] == [row[:2] for row in every]
    np.testing.assert_allclose([row[2:] for row in alone], [row[2:] for row in every], atol=1e-6)
    assert [row[2] for row in rows] == sorted((row[3] for row in every), reverse=True)
    assert {row[0] for row in rows} == {"L2.H0"} and {row[4] for row in rows} == {"colour"}
    assert {row[1]: row[5] for row in rows} == {
        "L1.H0": "colour", "L1.H1": "Colour.", "L1.H2": "shape", "L2.H1": "counting", "L2.H2": None
    }  # fmt: skip


@pytest.mark.parametrize("by", ["cka", "overlap"])
def test_pairs_of_a_model_come_once_and_in_order(built: Built, by: str) -> None:
    with clipdb.open(built.path) as db:
        result = db.query.alike(by=by)
        rows = result.fetchall()
    assert len(rows) == 15 and all(one < other for one, other, *_ in rows)
    scores = [row[result.columns.index(by)] for row in rows]
    assert scores == sorted(scores, reverse=True)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    sides = [Side({(0, 0): np.ones(1, bool)}, {(0, 0): basis}, lambda *_: np.zeros((1, 1))) for basis in (one, other)]
    return float(compare(*sides).overlap[0, 0])


def test_subspaces_are_compared_by_their_rank() -> None:
    axes = np.eye(6)
    assert overlap(axes[:, :3], axes[:, :3]) == pytest.approx(1)
    assert overlap(axes[:, :3], axes[:, 3:]) == 0
    assert overlap(axes[:, :2], axes[:, [1, 3, 4]]) == pytest.approx(0.5)
    null = np.hstack([axes[:, :1], np.zeros((6, 2))])  # directions that the head can't write are zero columns
    assert overlap(null, axes[:, :3]) == pytest.approx(1)
    assert np.isnan(overlap(np.zeros((6, 2)), axes))


def related(path: Path) -> Built:
    """Make L2.H1 a linear function of L2.H0, and L2.H2 twice it, turned."""
    import lance
    import pyarrow as pa

    from clipdb.schema.vectors import images_path

    built = build(path, images=60)
    dataset = lance.dataset(str(images_path(path, "one/a")))
    table = dataset.to_table()
    source = built.vectors["one/a", 2, 0]
    random = np.random.default_rng(5)
    turn, _ = np.linalg.qr(random.normal(size=(4, 4)))
    for head, map_ in ((1, random.normal(size=(4, 4)) * [3, 1, 0.2, 0]), (2, 2 * turn)):
        place = table.schema.get_field_index(f"l2h{head}")
        values = (source @ map_).astype(np.float16)
        table = table.set_column(
            place, table.schema.field(place), pa.array(list(values), table.schema.field(place).type)
        )
    version = lance.write_dataset(table, str(images_path(path, "one/a")), mode="overwrite").version
    with catalog.changing(path) as connection:
        connection.execute("update batches set lance_version = ? where kind = 'images'", [version])
    return built


def test_redundant_heads_are_found(tmp_path: Path) -> None:
    copy = related(tmp_path / "related.clipdb")
    with clipdb.open(copy.path) as db:
        result = db.query.redundant()
        rows = {row[0]: dict(zip(result.columns, row, strict=True)) for row in result.fetchall()}
        same = {row[0] for row in db.query.redundant(by="cka", least=0.999).fetchall()}
        none = db.query.redundant(same_property=True).fetchall()
    # H0 and H2 are functions of each other, H1 is one of both; what H1 lost can't be had back from it.
    assert set(rows) == {"L2.H0", "L2.H1", "L2.H2"}
    assert rows["L2.H0"]["other"] == "L2.H2" and rows["L2.H2"]["other"] == "L2.H0"
    assert all(row["explained"] > 0.999 for row in rows.values())
    assert rows["L2.H0"]["cka"] == pytest.approx(1, abs=1e-4) and rows["L2.H1"]["cka"] < 0.9
    assert same == {"L2.H0", "L2.H2"} and none == []


def test_unrelated_heads_are_not_redundant(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert db.query.redundant(least=0.5).fetchall() == []
        every = db.query.redundant(least=-10).fetchall()
        colours = db.query.redundant(least=-10, same_property=True).fetchall()
    assert sorted(row[0] for row in every) == [name(head) for head in HEADS]
    assert {row[0] for row in colours} == {"L1.H0", "L1.H1", "L2.H0"} and all(row[7] for row in colours)


def test_what_too_few_images_can_not_say_is_null(tmp_path: Path) -> None:
    copy = build(tmp_path / "few.clipdb", images=5)  # as many as head_dim + 1; layer 1 has 3
    with clipdb.open(copy.path) as db:
        rows = db.sql("from alike(null)").fetchall()
        assert {row[3:] for row in db.sql("from alike(null, images := 1)").fetchall()} == {(None, None, 1)}
    assert len(rows) == 30 and all(row[2] is not None and row[3] is not None for row in rows)
    assert {row[4] for row in rows} == {None} and {row[5] for row in rows} == {3, 5}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"head": "L9.H1"}, "no head L9.H1 in this index: it has layers 1, 2"),
        ({"images": -1}, "images is -1"),
        ({"by": "x"}, "--by takes cka, overlap"),
        ({"model": "none/x"}, "no model 'none/x'"),
    ],
)
def test_bad_values_are_said_in_a_line(built: Built, values: dict[str, object], problem: str) -> None:
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        db.query.alike(**values).fetchall()
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_several_models_must_be_told_apart(two: Built) -> None:
    with clipdb.open(two.path) as db:
        for query in (db.query.alike, db.query.redundant):
            with pytest.raises(ClipdbError, match=r"several models: choose one with --model \(one/a, two/b\)"):
                query()
        assert len(db.query.alike(model="two/b").fetchall()) == 15
