"""Metrics by layer, and how they go with what models are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_index import Built, build
from support import change
from support import clipdb as run

import clipdb

MODELS = tuple(f"m{number}/w" for number in range(5))
# Of each model: layers, heads a layer, head size, pooling; and what its heads' names and spans are made to be.
SHAPES = {
    "m0/w": (3, 3, 4, "tok"), "m1/w": (4, 3, 4, "tok"), "m2/w": (6, 4, 8, "avg"),
    "m3/w": (8, 4, 8, "avg"), "m4/w": (12, 6, 8, "tok"),
}  # fmt: skip


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five models of different architectures, the larger the more entangled, with two layers each."""
    path = build(tmp_path_factory.mktemp("several") / "several.clipdb", MODELS, images=6).path
    for number, (model, (layers, heads, size, pooling)) in enumerate(SHAPES.items()):
        change(
            path, "update models set layers = ?, heads = ?, head_dim = ?, pooling = ? where model_id = ?",
            layers, heads, size, pooling, model,
        )  # fmt: skip
        change(path, "update bases set size = ? where model_id = ?", size, model)
        change(path, "delete from labels where model_id = ?", model)
        for place in range(6):
            name = "shared" if place <= number else f"own {place}"
            change(
                path,
                "insert into labels by name select ? as model_id, ? as layer, ? as head, 'general' as pool, "
                "'vote' as labeller, 'r' as run, ? as property, 'ok' as status, now() as created_at",
                model, 1 + place // 3, place % 3, name,
            )  # fmt: skip
        change(path, "update head_statistics set effective_rank = layer where model_id = ?", model)
    return path


def test_layers_have_their_metrics_beside_their_architecture(built: Built) -> None:
    columns = (
        "layer, depth, heads, entanglement, association, judge, variance, layers, heads_per_layer, patch_size, pooling"
    )
    with clipdb.open(built.path) as db:
        rows = db.query.layers().project(columns).fetchall()
        entangled = db.sql("select layer, entanglement from entanglement_by_layer order by 1").fetchall()
        associated = db.sql("select layer, association, judge from association_by_layer order by 1").fetchall()
        explained = db.query.layers().project("explained").fetchall()
        cumulative = db.sql(
            "select avg(v) from (select layer, head, max(cumulative_variance) as v from spans group by all) "
            "group by layer order by layer"
        ).fetchall()
    assert [(row[0], row[3]) for row in rows] == entangled
    assert [(row[0], row[4], row[5]) for row in rows] == associated
    np.testing.assert_allclose(explained, cumulative)
    assert [row[1] for row in rows] == pytest.approx([2 / 3, 1]) and [row[6] for row in rows] == [0.5, 0.5]
    assert {row[7:] for row in rows} == {(3, 3, 16, "tok")} and [row[2] for row in rows] == [3, 3]


def test_a_majority_and_an_independent_judge_go_before_others(built: Built, tmp_path: Path) -> None:
    path = build(tmp_path / "judged.clipdb").path
    texts = "select model_id, layer, head, text_id, property from judgements where judge = 'vote'"
    verdict = "'llm:x' as judge, 'r' as run, true as verdict, 'ok' as status"
    change(path, f"insert into judgements by name select *, {verdict} from ({texts})")
    with clipdb.open(path) as db:
        rows = db.query.layers().project("judge, association").fetchall()
    assert rows == [("llm:x", 1.0)] * 2


def test_architecture_averages_models_by_feature(several: Path) -> None:
    with clipdb.open(several) as db:
        result = db.query.architecture()
        rows = {row[:2]: dict(zip(result.columns, row, strict=True)) for row in result.fetchall()}
        poolings = db.query.architecture("pooling").fetchall()
        by_model = dict(db.sql("select model_id, entanglement from entanglement").fetchall())
    for feature, place in (("layers", 0), ("heads_per_layer", 1), ("head_dim", 2), ("pooling", 3)):
        values = {str(shape[place]) for shape in SHAPES.values()}
        assert {value for name, value in rows if name == feature} == values
        for value in values:
            chosen = [model for model, shape in SHAPES.items() if str(shape[place]) == value]
            row = rows[feature, value]
            assert (row["models"], row["layers"]) == (len(chosen), 2 * len(chosen))
            assert row["entanglement"] == pytest.approx(np.mean([by_model[model] for model in chosen]))
            ranks = [1.5 / SHAPES[model][2] for model in chosen]
            assert row["effective_rank"] == pytest.approx(np.mean(ranks))
    assert {row[1] for row in poolings} == {"tok", "avg"} and len(poolings) == 2
    assert sum(row["layers"] for (feature, _), row in rows.items() if feature == "depth") == 10


def ranked(values: list[float]) -> np.ndarray:
    """Ranks from 1, the mean of their places for equal values."""
    order = np.sort(values)
    return np.array([np.mean(np.flatnonzero(order == value)) + 1 for value in values])


def test_correlations_over_models_are_spearmans(several: Path) -> None:
    with clipdb.open(several) as db:
        entangled = dict(db.sql("select model_id, entanglement from entanglement").fetchall())
    result = run("query", "architecture", "-i", several)
    said = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    for feature, place in (("layers", 0), ("heads_per_layer", 1), ("head_dim", 2)):
        sizes = ranked([SHAPES[model][place] for model in MODELS])
        rho = np.corrcoef(sizes, ranked([entangled[model] for model in MODELS]))[0, 1]
        (line,) = (line for line in said if f"with {feature} over 5 models" in line)
        assert f"entanglement {rho:+.2f}" in line
    assert not any("width" in line for line in said)  # all have the same


def test_two_models_stand_layer_by_layer(two: Built) -> None:
    with clipdb.open(two.path) as db:
        assert db.query.compare_layers().fetchall() == db.query.compare_layers("one/a", "two/b").fetchall()
        rows = db.query.compare_layers("one/a", "two/b").project("layer, entanglement, entanglement_b").fetchall()
        each = db.sql("select model_id, layer, entanglement from entanglement_by_layer").fetchall()
    found = {(model, layer): value for model, layer, value in each}
    assert rows == [(layer, found["one/a", layer], found["two/b", layer]) for layer in (1, 2)]
