"""Specialisation against plain numpy, on made-up shares: specialised heads, heads that are all alike, noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest
from schema_rows import catalog, insert

from clipdb.queries.named.sql_files import find_query

CHANCE = 0.1
PROPERTIES = ("colour", "count", "position", "size")
RANDOM = np.random.default_rng(0)
MODELS = {
    "every/one": np.where(np.eye(4)[np.arange(8) % 4] == 1, 1.0 + CHANCE, -0.01),
    "no/share": RANDOM.normal(0, 0.02, (6, 4)),
    "all/alike": np.tile([0.7, 0.3, 0.2, 0.05], (5, 1)),
    "over/lapping": RANDOM.uniform(0, 1, (10, 4)),
    "one/head": np.array([[0.4, 0.3, 0.0, -0.1]]),
}


def plain(shares: np.ndarray) -> dict[str, Any]:
    """The same with a column for what goes with no property."""
    over = np.maximum(shares - CHANCE, 0)
    over /= np.maximum(over.sum(axis=1, keepdims=True), 1)
    joint = np.column_stack([over, 1 - over.sum(axis=1)]) / len(shares)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 1e-15
    second, best = np.sort(shares, axis=1)[:, -2:].T
    return {
        "heads": len(shares),
        "excess": best.mean() - CHANCE,
        "share": best.mean(),
        "chance": CHANCE,
        "margin": (best - second).mean(),
        "information": float((joint[there] * np.log2(joint[there] / expected[there])).sum()),
        "most": 2.0,
    }


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        for model, shares in MODELS.items():
            for run, factor in (("1", 0.5), ("2", 1.0)):  # an older run doesn't count
                about = {"model_id": model, "layer": 0, "pool": "p", "labeller": "zero-shot", "run": run}
                rows = [
                    about | {"head": head, "property": name, "share": factor * share, "chance": CHANCE}
                    for head, of_head in enumerate(shares.tolist())
                    for name, share in zip(PROPERTIES, of_head, strict=True)
                ]
                insert(connection, "label_scores", rows)
        yield connection


def test_specialisation_is_that_of_numpy(db: duckdb.DuckDBPyConnection) -> None:
    result = db.execute(find_query("specialisation").sql, {"model": None, "pool": None})
    names = [column[0] for column in result.description]
    found = {row[0]: dict(zip(names[2:], row[2:], strict=True)) for row in result.fetchall()}
    assert set(found) == set(MODELS)
    for model, shares in MODELS.items():
        assert found[model] == pytest.approx(plain(shares), abs=1e-12), model
    assert found["every/one"]["information"] == pytest.approx(2.0)
    assert found["no/share"]["information"] == found["all/alike"]["information"] == pytest.approx(0, abs=1e-12)
    assert found["no/share"]["excess"] < 0


def test_specialisation_of_one_model_or_pool(db: duckdb.DuckDBPyConnection) -> None:
    sql = find_query("specialisation").sql
    assert len(db.execute(sql, {"model": "one/head", "pool": "p"}).fetchall()) == 1
    assert db.execute(sql, {"model": None, "pool": "another"}).fetchall() == []
