"""How likely names are right, learnt from heads with evidence, against the definition in plain Python."""

from __future__ import annotations

import random
from typing import Any

import duckdb
import pytest
from schema_rows import head, insert, label

NAMES = ["colour", "shape", "count"]


def fill(
    db: duckdb.DuckDBPyConnection, rng: random.Random, heads: int, unclear: int
) -> dict[Any, tuple[str, float, bool | None]]:
    """Two models of so many heads, named by zero-shot: name, share, and whether evidence says the same, by head."""
    told: dict[Any, tuple[str, float, bool | None]] = {}
    labels, scores = [], []
    for model in ("a/a", "b/b"):
        for number in range(heads):
            name, share = rng.choice(NAMES), round(rng.random(), 2)
            found = None if number < unclear else name if rng.random() < share else "texture"
            labels.append(label(model, 0, number, name, "zero-shot") | {"confidence": share})
            labels.append(label(model, 0, number, found, "evidence", pool="") | {"confidence": 0.9})
            for one in [*NAMES, "texture"]:
                row = {"model_id": model, "layer": 0, "head": number, "pool": "", "labeller": "evidence", "run": "1"}
                scores.append(row | {"property": one, "share": 0.5, "chance": 0.1})
            told[model, number] = (name, share, None if found is None else found == name)
    insert(db, "head_statistics", [head(model, 0, number) for model, number in told])
    insert(db, "labels", labels)
    insert(db, "label_scores", scores)
    return told


def probability(told: dict[Any, tuple[str, float, bool | None]], key: Any) -> tuple[float, int] | None:
    """Of the 20 other tested heads with the nearest shares, how many were right, by Laplace's rule of succession."""
    share = told[key][1]
    tested = [
        (abs(one[1] - share), other, one[2]) for other, one in told.items() if other != key and one[2] is not None
    ]
    if len(tested) < 10:
        return None
    nearest = [right for _, _, right in sorted(tested)[:20]]
    return (sum(map(bool, nearest)) + 1) / (len(nearest) + 2), len(nearest)


@pytest.mark.parametrize(("heads", "unclear"), [(40, 6), (8, 0), (8, 3), (6, 1), (5, 0)])
def test_probability_is_how_often_such_shares_were_right(
    db: duckdb.DuckDBPyConnection, heads: int, unclear: int
) -> None:
    told = fill(db, random.Random(heads), heads, unclear)
    found = db.execute("select model_id, head, probability, tested_heads from name_probabilities").fetchall()
    expected = {key: probability(told, key) for key in told}
    assert {(model, number): (chance, count) for model, number, chance, count in found} == {
        key: one for key, one in expected.items() if one
    }
    if heads == 40:
        values = {key: chance for key, (chance, _) in ((key, one) for key, one in expected.items() if one)}
        high, low = ([chance for key, chance in values.items() if (told[key][1] > 0.5) == up] for up in (True, False))
        assert sum(high) / len(high) > sum(low) / len(low) + 0.2  # names were drawn right with the probability `share`


def test_names_that_evidence_did_not_compare_teach_nothing(db: duckdb.DuckDBPyConnection) -> None:
    fill(db, random.Random(1), 12, 0)
    assert db.execute("select count(*) from name_probabilities").fetchone() == (24,)
    db.execute("delete from label_scores where property in ('colour', 'shape', 'count')")
    assert db.execute("select count(*) from name_probabilities").fetchone() == (0,)
    db.execute("update labels set labeller = 'human:ada' where labeller = 'evidence'")
    assert db.execute("select count(*) from name_probabilities").fetchone() == (0,)
