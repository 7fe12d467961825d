"""Rank correlation of judges with people against NumPy's, on verdicts and ratings that hypothesis makes up."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_rows import catalog, insert, judgement, label, span

HEADS = [(model, number) for model in ("a/x", "b/y") for number in range(5)]
JUDGES = ("llm:x", "vote", "human:y", "human:z")
PEOPLE = ("human:y", "human:z")

Verdicts = dict[tuple, list[bool | None]]


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        insert(connection, "spans", [span(m, 0, n, rank, f"t{rank}") for m, n in HEADS for rank in range(1, 7)])
        yield connection


def fill(db: duckdb.DuckDBPyConnection, verdicts: Verdicts, confidence: dict[tuple, float | None]) -> None:
    """Every head is named colour by an import, and by the people who say how well that fits."""
    for table in ("labels", "judgements"):
        db.execute(f"delete from {table}")
    labels = [label(model, 0, number, "colour", "import:s") | {"confidence": None} for model, number in HEADS]
    labels += [
        label(model, 0, number, "Colour.", person, "2") | {"confidence": rating}
        for (model, number, person), rating in confidence.items()
    ]
    insert(db, "labels", labels)
    judgements = [
        judgement(model, 0, number, f"t{rank}", "colour", verdict, judge)
        for (model, number, judge), given_verdicts in verdicts.items()
        for rank, verdict in enumerate(given_verdicts, 1)
    ]
    insert(db, "judgements", judgements)


def spearman(pairs: list[tuple[float, float]]) -> float | None:
    values = np.array(pairs, float).reshape(-1, 2)
    if len(values) < 3 or (values == values[0]).all(axis=0).any():
        return None
    # The average rank of a value is how many are below it, and the middle of those that equal it.
    ranks = (values[:, None] > values).sum(axis=1) + ((values[:, None] == values).sum(axis=1) + 1) / 2
    return float(np.corrcoef(ranks.T)[0, 1])


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


verdict_sets = st.dictionaries(
    st.tuples(st.sampled_from(HEADS), st.sampled_from(JUDGES)).map(lambda key: (*key[0], key[1])),
    st.lists(st.sampled_from([True, True, False, None]), min_size=4, max_size=6),
    min_size=10,
)
confidences = st.dictionaries(
    st.tuples(st.sampled_from(HEADS), st.sampled_from(PEOPLE)).map(lambda key: (*key[0], key[1])),
    st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(verdicts=verdict_sets, confidence=confidences, min_agree=st.integers(1, 4), top_n=st.integers(4, 5))
def test_rank_agreement_is_spearmans(
    db: duckdb.DuckDBPyConnection, verdicts: Verdicts, confidence: dict, min_agree: int, top_n: int
) -> None:
    fill(db, verdicts, confidence)
    ccs = {
        key: sum(verdict is True for verdict in found[:top_n])
        for key, found in verdicts.items()
        if sum(verdict is not None for verdict in found[:top_n]) >= min_agree
    }
    expected = {}
    for model in ("a/x", "b/y", None):
        for judge in ("llm:x", "vote"):
            for rating in ("fit", "confidence"):
                source = ccs if rating == "fit" else {key: one for key, one in confidence.items() if one is not None}
                pairs = []
                for key in HEADS:
                    people = mean([source[*key, person] for person in PEOPLE if (*key, person) in source])
                    if model in (None, key[0]) and people is not None and (*key, judge) in ccs:
                        pairs.append((ccs[*key, judge], people))
                if pairs:
                    expected[model, judge, rating, "ccs"] = pairs
                    fits = [(float(score >= min_agree), people) for score, people in pairs]
                    expected[model, judge, rating, "association"] = fits
    columns = "model_id, judge, rating, score, heads, spearman, independent, note"
    rows = db.execute(
        f"select {columns} from rank_agreement(min_agree := ?, top_n := ?) "
        "where labeller = 'import:s' and judge <> 'majority'",
        [min_agree, top_n],
    ).fetchall()
    assert {row[:4] for row in rows} == set(expected) and len(rows) == len(expected)
    for *key, heads, found, independent, note in rows:
        pairs = expected[tuple(key)]
        number = spearman(pairs)
        assert heads == len(pairs)
        assert found == (None if number is None else pytest.approx(number, abs=1e-9))
        why = None if number is not None else "fewer than 3 heads" if heads < 3 else "one value only"
        assert independent is (key[1] != "vote")
        assert note == ("; ".join(filter(None, ["not independent" if key[1] == "vote" else None, why])) or None)


def test_the_order_of_people_gives_one_and_its_reverse_minus_one(db: duckdb.DuckDBPyConnection) -> None:
    fits = {number: [rank < number for rank in range(5)] for number in range(5)}
    verdicts: Verdicts = {("a/x", number, "human:z"): found for number, found in fits.items()}
    verdicts |= {("a/x", number, "llm:x"): found for number, found in fits.items()}
    verdicts |= {("a/x", number, "llm:y"): [not fit for fit in found] for number, found in fits.items()}
    fill(db, verdicts, {})
    rows = db.execute(
        "select judge, spearman, note from rank_agreement "
        "where labeller = 'current' and score = 'ccs' and model_id = 'a/x' order by judge"
    ).fetchall()
    assert rows == [
        ("llm:x", 1.0, None),
        ("llm:y", -1.0, None),
        ("majority", 1.0, "not independent: people are in it"),
    ]


def test_names_that_people_rejected_count_where_they_are_a_labellers(db: duckdb.DuckDBPyConnection) -> None:
    fits = {number: [rank < number for rank in range(5)] for number in range(5)}
    fill(db, {("a/x", number, "llm:x"): found for number, found in fits.items()}, {})
    ratings = [
        label("a/x", 0, number, "colour", "human:z", "2", "rejected" if number < 2 else "ok")
        | {"confidence": number / 4}
        for number in range(5)
    ]
    insert(db, "labels", ratings)
    rows = db.execute(
        "select labeller, heads, spearman from rank_agreement "
        "where labeller in ('current', 'import:s') and score = 'ccs' and model_id = 'a/x' order by labeller"
    ).fetchall()
    assert rows == [("current", 3, 1.0), ("import:s", 5, 1.0)]


def test_names_of_the_judge_itself_are_counted(db: duckdb.DuckDBPyConnection) -> None:
    fits = {number: [rank < number for rank in range(5)] for number in range(5)}
    fill(
        db,
        {("a/x", number, "llm:x"): found for number, found in fits.items()},
        {("a/x", number, "human:z"): number / 4 for number in range(5)},
    )
    insert(db, "labels", [label("a/x", 0, number, "colour", "llm:x", "3") for number in range(2, 5)])
    rows = db.execute(
        "select labeller, independent, note, heads from rank_agreement "
        "where judge = 'llm:x' and score = 'ccs' and model_id = 'a/x' order by labeller"
    ).fetchall()
    assert rows == [
        ("current", True, None, 5),
        ("human:z", True, None, 5),
        ("import:s", True, None, 5),
        ("llm:x", False, "not independent: 3 own", 3),
    ]
