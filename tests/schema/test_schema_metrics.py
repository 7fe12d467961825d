"""The metrics against a plain count in Python, on labels and verdicts that hypothesis makes up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import plain_metrics as plain
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_rows import catalog, head, insert, judgement, label, span

models = st.sampled_from(["a/x", "b/y"])
layers = st.integers(0, 2)
numbers = st.integers(0, 3)
runs = st.sampled_from("123")
pools = st.sampled_from(["p", "p", "q", "never spanned"])
statuses = st.sampled_from(["ok", "ok", "ok", "error", "rejected"])
words = st.sampled_from(["colour", "Colour", "SHAPE", "shape", "number", "."])
spellings = st.builds("{}{}{}".format, st.sampled_from(["", " "]), words, st.sampled_from(["", ".", " ,", "!?"]))
texts = st.sampled_from(["t1", "t2", "t3", "t4", "t5", "t6"])
verdicts = st.sampled_from([True, True, False, None])
labellers = st.sampled_from(["zero-shot", "vote", "llm:x", "llm:y", "human:z", "human:u", "import:w"])
judges = st.sampled_from(["vote", "llm:x", "human:z", "llm:v"])


def rows_of(make: st.SearchStrategy[dict[str, Any]], size: int, *key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(
        make,
        max_size=size,
        unique_by=lambda row: tuple(row[name] for name in ("model_id", "layer", "head", *key)),
    )


label_sets = rows_of(
    st.builds(label, models, layers, numbers, spellings | st.none(), labellers, runs, statuses, pools),
    30,
    *("pool", "labeller", "run"),
)
judgement_sets = rows_of(
    st.builds(judgement, models, layers, numbers, texts, spellings, verdicts, judges, runs, statuses),
    60,
    *("text_id", "property", "judge", "run"),
)
every_head = [(model, layer, number) for model in ("a/x", "b/y") for layer in range(3) for number in range(4)]


def spans_of(key: plain.Head, pool: str) -> list[str]:
    """The texts of a head's spans in order; of the pool that was spanned last where it has none of this one."""
    layer, number = key[1:]
    if pool == "p" or number % 2:
        return [f"t{(rank + number) % 7}" for rank in range(1, 7 - layer)]
    return [f"t{(2 * rank + number) % 7}" for rank in range(1, 6)]


@pytest.fixture(scope="module")
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        insert(connection, "head_statistics", [head(*key) for key in every_head])
        for pool, run in (("q", "2"), ("p", "1")):
            with_pool = [key for key in every_head if pool == "p" or key[2] % 2 == 0]
            rows = [
                span(*key, rank, text, pool, run)
                for key in with_pool
                for rank, text in enumerate(spans_of(key, pool), start=1)
            ]
            insert(connection, "spans", rows)
        yield connection


def fill(db: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict]) -> None:
    for table, rows in (("labels", labels), ("judgements", judgements)):
        db.execute(f"delete from {table}")
        insert(db, table, rows)


def rows(db: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = db.execute(sql)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(labels=label_sets)
def test_what_each_source_calls_a_head(db: duckdb.DuckDBPyConnection, labels: list[dict]) -> None:
    fill(db, labels, [])
    expected = plain.names(labels)
    found = rows(db, "from source_names")
    assert len(found) == sum(map(len, expected.values()))
    for row in found:
        name = expected[row["model_id"], row["pool"], row["labeller"]][plain.head_of(row)]
        assert plain.Name(row["property_key"], row["given_by"], row["given_from"]) == name
    current = rows(db, "from head_properties")
    assert {plain.head_of(row): plain.Name(row["property_key"], row["labeller"], row["pool"]) for row in current} == {
        head: name for source, named in expected.items() if source[2] == "current" for head, name in named.items()
    }


@quick
@given(labels=label_sets)
def test_entanglement_is_a_count(db: duckdb.DuckDBPyConnection, labels: list[dict]) -> None:
    fill(db, labels, [])
    sources = plain.names(labels)
    named = {
        head: name.key for source, heads in sources.items() if source[2] == "current" for head, name in heads.items()
    }
    found = {row["model_id"]: row for row in rows(db, "from entanglement")}
    assert set(found) == {"a/x", "b/y"}
    for model, row in found.items():
        of_model = sources.get((model, None, "current"), {})
        assert row["heads"] == 12 and row["properties"] == len({name.key for name in of_model.values()})
        if not of_model:
            assert (row["labelled_heads"], row["shared_heads"]) == (0, 0)
            assert {row[name] for name in row if name.startswith(("entang", "chance", "exc", "eff"))} == {None}
            continue
        check_entanglement(row, of_model)

    by_source = rows(db, "from source_entanglement")
    assert len(by_source) == len(sources)
    for row in by_source:
        check_entanglement(row, sources[row["model_id"], row["pool"], row["labeller"]])

    carriers = Counter((key[0], name) for key, name in named.items())
    shared = {key for key, name in named.items() if carriers[key[0], name] > 1}
    for row in rows(db, "from entanglement_by_layer"):
        in_layer = {key: name for key, name in named.items() if key[:2] == (row["model_id"], row["layer"])}
        n, s = len(in_layer), len(shared & set(in_layer))
        assert (row["labelled_heads"], row["shared_heads"], row["properties"]) == (n, s, len(set(in_layer.values())))
        assert (row["entanglement"], row["exclusive"]) == pytest.approx((s / n, 1 - s / n))
    assert rows(db, "select count(*) n from entanglement_by_layer") == [{"n": len({key[:2] for key in named})}]

    by_property = rows(db, "from entanglement_by_property")
    assert {(row["model_id"], row["property"]): row["labelled_heads"] for row in by_property} == carriers
    for row in by_property:
        heads = [key for key, name in named.items() if (key[0], name) == (row["model_id"], row["property"])]
        assert row["layers"] == sorted({key[1] for key in heads})
        assert row["entanglement"] == 1 - row["exclusive"] == (len(heads) > 1)
        assert row["share_of_heads"] == pytest.approx(len(heads) / sum(key[0] == row["model_id"] for key in named))


def check_entanglement(row: dict[str, Any], named: dict[plain.Head, plain.Name]) -> None:
    n, s, effective = plain.entanglement(named)
    assert (row["labelled_heads"], row["shared_heads"]) == (n, s)
    assert (row["entanglement"], row["exclusive"]) == pytest.approx((s / n, 1 - s / n))
    assert row["effective_properties"] == pytest.approx(effective)


@quick
@given(labels=label_sets, judgements=judgement_sets, min_agree=st.integers(1, 4), top_n=st.integers(1, 6))
def test_association_and_ccs_are_counts(
    db: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict], min_agree: int, top_n: int
) -> None:
    fill(db, labels, judgements)
    latest, asked = plain.verdicts(judgements), plain.judges(judgements)
    sources = plain.names(labels)
    expected = {
        (source, head, judge): plain.score(
            latest, head, name, judge, [f"id {text}" for text in spans_of(head, name.pool)[:top_n]]
        )
        for source, named in sources.items()
        for head, name in named.items()
        for judge in asked.get(source[0], ())
    }
    found = rows(db, f"from source_ccs(top_n := {top_n})")
    assert len(found) == len(expected)
    for row in found:
        score = expected[(row["model_id"], row["pool"], row["labeller"]), plain.head_of(row), row["judge"]]
        assert (row["judged"], row["ties"], row["missing"]) == (score.judged, score.ties, score.missing)
        assert row["ccs"] == (score.fit if score.judged else None)
        group = "high" if score.fit == top_n else "low" if score.fit <= 1 else "moderate"
        assert row["ccs_group"] == (group if score.judged == top_n else None)
        note = "not independent" if row["judge"] == "vote" else "not independent: own name" if score.own else None
        assert (row["independent"], row["note"]) == (note is None, note)
    current = [row for row in found if row["labeller"] == "current"]
    chance = "chance, chance_low, chance_high, excess"
    assert rows(
        db, f"select * exclude ({chance}) from ccs(top_n := {top_n}) order by model_id, layer, head, judge"
    ) == [
        {name: value for name, value in row.items() if name not in ("pool", "labeller", "span_pool")}
        for row in sorted(current, key=lambda row: (*plain.head_of(row), row["judge"]))
    ]

    parts = {
        "association": lambda key, name: key[:1],
        "association_by_layer": lambda key, name: key[:2],
        "association_by_property": lambda key, name: (key[0], name.key),
        "source_association": lambda key, name: key[:1],
    }
    for view, part in parts.items():
        scored: dict[tuple, list[plain.Score]] = {}
        for (source, key, judge), score in expected.items():
            if view == "source_association" or source[2] == "current":
                scored.setdefault((source, part(key, sources[source][key]), judge), []).append(score)
        answer = rows(db, f"from {view}(min_agree := {min_agree}, top_n := {top_n}, level := .8)")
        assert len(answer) == len(scored)
        for row in answer:
            source = (row["model_id"], row.get("pool"), row.get("labeller", "current"))
            group = (row["model_id"], *(row[name] for name in ("layer", "property") if row.get(name) is not None))
            scores = scored[source, group, row["judge"]]
            check_association(row, scores, min_agree)


def check_association(row: dict[str, Any], scores: list[plain.Score], min_agree: int) -> None:
    judged = [score for score in scores if score.judged >= min_agree]
    fits = sum(score.fit >= min_agree for score in judged)
    counts = [row[f"{name}_heads"] for name in ("labelled", "judged", "unjudged", "associated")]
    assert counts == [len(scores), len(judged), len(scores) - len(judged), fits]
    assert row["association"] == (fits / len(judged) if judged else None)
    assert (row["association_low"], row["association_high"]) == pytest.approx(plain.interval(fits, len(judged), 0.8))
    assert row["ties"] == sum(score.ties for score in scores)
    assert row["missing"] == sum(score.missing for score in scores)
    own = sum(score.own for score in scores)
    note = f"not independent: {own} own" if own else None
    note = "not independent" if row["judge"] == "vote" else note
    assert (row["independent"], row["note"]) == (note is None, note)
