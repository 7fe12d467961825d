"""What chance gives: the views against every random naming, and every shuffling of names, counted out."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import plain_metrics as plain
import pytest
from schema_rows import catalog, head, insert, judgement, label, span

NAMES = ("colour", "colour", "shape", "number", "shape", "colour")
# The tags of the five spans of each head: the last head's third one has none.
TAGS = (
    ("colour", "colour", "colour", "shape", "shape"),
    ("shape", "shape", "shape", "colour", "colour"),
    ("shape", "Shape.", "shape", "shape", "number"),
    ("number", "colour", "shape", "number", "colour"),
    ("colour", "colour", "shape", "shape", "shape"),
    ("colour", "colour", None, "colour", "size"),
)


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    """Six heads in three layers, named after a pool of four properties, judged by its tags and by an LLM."""
    with catalog() as connection:
        keys = [("a/x", place // 2, place % 2) for place in range(6)]
        insert(connection, "head_statistics", [head(*key) for key in keys])
        texts = [(place, rank, tag) for place, tags in enumerate(TAGS) for rank, tag in enumerate(tags, start=1)]
        pool = [
            {"pool": "p", "position": number, "text_id": f"id {place} {rank}", "property": tag}
            for number, (place, rank, tag) in enumerate(texts)
        ]
        insert(connection, "pool_texts", pool)
        insert(connection, "spans", [span(*keys[place], rank, f"{place} {rank}") for place, rank, _ in texts])
        insert(
            connection, "labels", [label(*key, name, "zero-shot", "1") for key, name in zip(keys, NAMES, strict=True)]
        )
        insert(
            connection, "labels", [label("c/z", 0, n, "anything", "import:w", "1", pool="unknown") for n in range(2)]
        )
        verdicts = [
            judgement(*keys[place], f"{place} {rank}", NAMES[place], plain.normal(tag) == NAMES[place], judge)
            for place, rank, tag in texts
            for judge in ("vote", "llm:x")
            if tag is not None
        ]
        insert(connection, "judgements", verdicts)
        yield connection


def one(db: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    (row,) = many(db, sql)
    return row


def many(db: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = db.execute(sql)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def shared(names: tuple[int, ...], among: slice = slice(None)) -> int:
    counts = Counter(names)
    return sum(counts[name] > 1 for name in names[among])


def test_entanglement_by_chance_is_that_of_all_random_namings(db: duckdb.DuckDBPyConnection) -> None:
    namings = list(itertools.product(range(4), repeat=6))
    row = one(db, "from entanglement where model_id = 'a/x'")
    counts = [shared(naming) for naming in namings]
    assert row["chance"] == pytest.approx(np.mean(counts) / 6)
    assert (row["chance_low"], row["chance_high"]) == pytest.approx(plain.reach(counts, 6))
    assert row["excess"] == pytest.approx(row["entanglement"] - np.mean(counts) / 6)

    layer = one(db, "from entanglement_by_layer(level := .5) where layer = 1")
    counts = [shared(naming, slice(2, 4)) for naming in namings]
    assert layer["chance"] == pytest.approx(np.mean(counts) / 2)
    assert (layer["chance_low"], layer["chance_high"]) == pytest.approx(plain.reach(counts, 2, 0.5))


def test_where_the_names_are_from_no_pool_with_properties_chance_is_unknown(db: duckdb.DuckDBPyConnection) -> None:
    row = one(db, "from entanglement where model_id = 'c/z'")
    assert row["entanglement"] == 1.0
    assert [row[name] for name in ("chance", "chance_low", "chance_high", "excess")] == [None] * 4


def singletons(n: int, properties: int) -> np.ndarray:
    """Probabilities that 0, 1, ... n of n heads are alone with their name, by a generating function."""
    ways = np.zeros((n + 1, n + 1))
    ways[0, 0] = 1
    for _ in range(properties):
        more = np.zeros_like(ways)
        for heads in range(n + 1):
            alone = int(heads == 1)
            more[heads:, alone:] += ways[: n + 1 - heads, : n + 1 - alone] / math.factorial(heads)
        ways = more
    return ways[n] * math.factorial(n) / float(properties) ** n


@pytest.mark.parametrize("properties", [2, 8, 38, 100])
def test_the_interval_of_chance_holds_as_many_random_namings_as_it_says(
    db: duckdb.DuckDBPyConnection, properties: int
) -> None:
    for n in (2, 6, 24, 48, 96):
        alone = singletons(n, properties)
        counts = n - np.arange(n + 1)
        mean = alone @ counts
        variance = alone @ np.square(counts - mean)
        select = "select unnest(chance_interval($mean, $variance, $n::double))"
        low, high = db.execute(select, {"mean": mean, "variance": variance, "n": n}).fetchone()
        assert alone @ ((low * n - 1e-9 <= counts) & (counts <= high * n + 1e-9)) >= 0.95


def fits(place: int, name: str, top: int) -> int:
    return sum(plain.normal(tag) == name for tag in TAGS[place][:top])


@pytest.mark.parametrize(("min_agree", "top"), [(3, 5), (2, 3), (1, 5)])
def test_association_by_chance_is_that_of_all_shufflings(
    db: duckdb.DuckDBPyConnection, min_agree: int, top: int
) -> None:
    arguments = f"min_agree := {min_agree}, top_n := {top}, level := .9"
    judged = [place for place in range(6) if sum(tag is not None for tag in TAGS[place][:top]) >= min_agree]
    shufflings = list(itertools.permutations([NAMES[place] for place in judged]))
    parts = {
        "association": [(judged, None, "true")],
        "association_by_layer": [([p for p in judged if p // 2 == n], None, f"layer = {n}") for n in range(3)],
        "association_by_property": [(judged, name, f"property = '{name}'") for name in ("colour", "shape", "number")],
    }
    for view, rows in parts.items():
        for heads, only, where in rows:
            counts = [
                sum(
                    fits(place, name, top) >= min_agree
                    for place, name in zip(judged, names, strict=True)
                    if place in heads and only in (None, name)
                )
                for names in shufflings
            ]
            row = one(db, f"from {view}({arguments}) where judge = 'vote' and {where}")
            assert row["chance"] == pytest.approx(np.mean(counts) / row["judged_heads"])
            low, high = plain.reach(counts, row["judged_heads"], 0.9)
            assert (row["chance_low"], row["chance_high"]) == pytest.approx((low, high))
            assert row["excess"] == pytest.approx(row["association"] - row["chance"])
    others = many(db, f"from association({arguments}) where judge <> 'vote'")
    assert [(row["chance"], row["chance_low"], row["excess"]) for row in others] == [(None, None, None)]


def test_ccs_by_chance_has_the_percentiles_of_all_shufflings(db: duckdb.DuckDBPyConnection) -> None:
    for row in many(db, "from ccs(top_n := 4, level := .8) where judge = 'vote'"):
        counts = [fits(row["layer"] * 2 + row["head"], name, 4) for name in NAMES]
        assert row["chance"] == pytest.approx(np.mean(counts))
        assert row["excess"] == pytest.approx(row["ccs"] - row["chance"])
        expected = np.quantile(counts, [0.1, 0.9], method="inverted_cdf")
        assert [row["chance_low"], row["chance_high"]] == expected.tolist()
    others = many(db, "from ccs where judge <> 'vote'")
    assert len(others) == 6 and {row["chance"] for row in others} == {None}


def test_the_scoreboard_and_the_layers_show_chance_too(db: duckdb.DuckDBPyConnection) -> None:
    whole = one(db, "from entanglement where model_id = 'a/x'")
    judged = one(db, "from association where judge = 'vote'")
    row = one(db, "from scoreboard where labeller = 'current' and judge = 'vote'")
    for name in ("chance", "chance_low", "chance_high", "excess"):
        assert row[f"entanglement_{name}"] == whole[name]
        assert row[f"association_{name}"] == judged[name]
    by_layer = one(db, "from entanglement_by_layer where layer = 2")
    layer = one(db, "from layer_metrics where model_id = 'a/x' and layer = 2")
    assert (layer["entanglement_chance"], layer["entanglement_excess"]) == (by_layer["chance"], by_layer["excess"])
