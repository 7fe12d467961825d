"""The metrics against a plain count in Python, on label sets that hypothesis makes up."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_rows import catalog, head, insert, judgement, label, span

RANKS = {"human": 1, "llm": 2, "import": 3, "vote": 4}

models = st.sampled_from(["a/x", "b/y"])
layers = st.integers(0, 2)
numbers = st.integers(0, 3)
runs = st.sampled_from("123")
statuses = st.sampled_from(["ok", "ok", "ok", "error", "rejected"])
words = st.sampled_from(["colour", "Colour", "SHAPE", "shape", "number", "."])
spellings = st.builds("{}{}{}".format, st.sampled_from(["", " "]), words, st.sampled_from(["", ".", " ,", "!?"]))
texts = st.sampled_from(["t1", "t2", "t3", "t4", "t5", "t6"])
verdicts = st.sampled_from([True, True, False, None])
labellers = st.sampled_from(["vote", "llm:x", "llm:y", "human:z", "import:w"])
judges = st.sampled_from(["vote", "llm:x", "human:z"])


def rows_of(make: st.SearchStrategy[dict[str, Any]], size: int, *key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        make,
        max_size=size,
        unique_by=lambda row: tuple(row[name] for name in ("model_id", "layer", "head", *key)),
    )


label_sets = rows_of(
    st.builds(label, models, layers, numbers, spellings | st.none(), labellers, runs, statuses),
    30,
    *("labeller", "run"),
)
judgement_sets = rows_of(
    st.builds(judgement, models, layers, numbers, texts, spellings, verdicts, judges, runs, statuses),
    60,
    *("text_id", "property", "judge", "run"),
)
every_head = [(model, layer, number) for model in ("a/x", "b/y") for layer in range(3) for number in range(4)]


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        insert(connection, "heads", [head(*key) for key in every_head])
        spans = [span(*key, rank, f"t{(rank + key[2]) % 7}") for key in every_head for rank in range(1, 7 - key[1])]
        insert(connection, "spans", spans)
        yield connection


def fill(db: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict]) -> None:
    for table, rows in (("labels", labels), ("judgements", judgements)):
        db.execute(f"delete from {table}")
        insert(db, table, rows)


def normal(text: str | None) -> str:
    return (text or "").lower().strip().rstrip(string.whitespace + ".,;:!?")


def current(labels: list[dict[str, Any]]) -> dict[tuple[str, int, int], str]:
    """The property of each head that has one."""

    def precedence(row: dict[str, Any]) -> tuple:
        return (-RANKS[row["labeller"].split(":")[0]], row["created_at"], row["run"])

    named = [row for row in labels if row["status"] == "ok" and normal(row["property"])]
    named.sort(key=lambda row: row["labeller"], reverse=True)
    named.sort(key=precedence)
    return {(row["model_id"], row["layer"], row["head"]): normal(row["property"]) for row in named}


def rows(db: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = db.execute(sql)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(labels=label_sets)
def test_entanglement_is_a_count(db: duckdb.DuckDBPyConnection, labels: list[dict]) -> None:
    fill(db, labels, [])
    named = current(labels)
    carriers = Counter((key[0], name) for key, name in named.items())
    shared = {key for key, name in named.items() if carriers[key[0], name] > 1}
    found = {row["model_id"]: row for row in rows(db, "from entanglement")}
    assert set(found) == {"a/x", "b/y"}
    for model, row in found.items():
        counts = [count for key, count in carriers.items() if key[0] == model]
        n = sum(counts)
        s = sum(key[0] == model for key in shared)
        assert (row["heads"], row["labelled_heads"], row["shared_heads"], row["properties"]) == (
            12,
            n,
            s,
            len(counts),
        )
        if n == 0:
            assert row["entanglement"] is row["exclusive"] is row["effective_properties"] is None
            continue
        assert (row["entanglement"], row["exclusive"]) == pytest.approx((s / n, 1 - s / n))
        entropy = -sum(count / n * math.log(count / n) for count in counts)
        assert row["effective_properties"] == pytest.approx(math.exp(entropy))

    for row in rows(db, "from entanglement_by_layer"):
        in_layer = {key: name for key, name in named.items() if key[:2] == (row["model_id"], row["layer"])}
        n, s = len(in_layer), len(shared & set(in_layer))
        assert (row["labelled_heads"], row["shared_heads"], row["properties"]) == (
            n,
            s,
            len(set(in_layer.values())),
        )
        assert (row["entanglement"], row["exclusive"]) == pytest.approx((s / n, 1 - s / n))
    assert rows(db, "select count(*) n from entanglement_by_layer") == [{"n": len({key[:2] for key in named})}]

    by_property = rows(db, "from entanglement_by_property")
    assert {(row["model_id"], row["property"]): row["labelled_heads"] for row in by_property} == carriers
    for row in by_property:
        heads = [key for key, name in named.items() if (key[0], name) == (row["model_id"], row["property"])]
        assert row["layers"] == sorted({key[1] for key in heads})
        assert row["entanglement"] == 1 - row["exclusive"] == (len(heads) > 1)
        assert row["share_of_heads"] == pytest.approx(len(heads) / sum(key[0] == row["model_id"] for key in named))


@quick
@given(labels=label_sets, judgements=judgement_sets, min_agree=st.integers(1, 4), top_n=st.integers(1, 6))
def test_association_and_ccs_are_counts(
    db: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict], min_agree: int, top_n: int
) -> None:
    fill(db, labels, judgements)
    named = current(labels)
    latest: dict[tuple, bool | None] = {}
    by_spelling = sorted(judgements, key=lambda row: row["property"], reverse=True)
    for row in sorted(by_spelling, key=lambda row: row["run"]):
        if row["status"] == "ok":
            key = (row["model_id"], row["layer"], row["head"])
            latest[key, row["text_id"], normal(row["property"]), row["judge"]] = row["verdict"]
    asked = {(row["model_id"], row["judge"]) for row in judgements}
    score = {}
    for key, name in named.items():
        first = [f"id t{(rank + key[2]) % 7}" for rank in range(1, min(top_n, 6 - key[1]) + 1)]
        for judge in (judge for model, judge in asked if model == key[0]):
            given_verdicts = [latest.get((key, text, name, judge)) for text in first]
            score[key, judge] = (
                sum(v is not None for v in given_verdicts),
                sum(v is True for v in given_verdicts),
            )

    found = rows(db, f"from ccs(top_n := {top_n})")
    assert {((r["model_id"], r["layer"], r["head"]), r["judge"]): (r["judged"], r["ccs"] or 0) for r in found} == score
    assert len(found) == len(score)
    for row in found:
        group = "high" if row["ccs"] == top_n else "low" if (row["ccs"] or 0) <= 1 else "moderate"
        assert row["ccs_group"] == (group if row["judged"] == top_n else None)
        assert (row["ccs"] is None) == (row["judged"] == 0)

    for view, part in (("association", lambda key: key[:1]), ("association_by_layer", lambda key: key[:2]),
                       ("association_by_property", lambda key: (key[0], named[key]))):  # fmt: skip
        found = rows(db, f"from {view}(min_agree := {min_agree}, top_n := {top_n})")
        assert len(found) == len({(part(key), judge) for key, judge in score})
        for row in found:
            group = (row["model_id"], *(row[name] for name in ("layer", "property") if name in row))
            scores = [score[key, judge] for key, judge in score if (part(key), judge) == (group, row["judge"])]
            judged = [fit for valid, fit in scores if valid >= min_agree]
            fits = sum(fit >= min_agree for fit in judged)
            counts = [row[f"{name}_heads"] for name in ("labelled", "judged", "unjudged", "associated")]
            assert counts == [len(scores), len(judged), len(scores) - len(judged), fits]
            assert row["association"] == (fits / len(judged) if judged else None)
            assert (row["independent"], row["note"]) == (
                (False, "not independent") if row["judge"] == "vote" else (True, None)
            )
