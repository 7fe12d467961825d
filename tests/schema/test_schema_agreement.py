"""Agreement of labellers and of judges: published examples, and a plain count in Python over made-up ratings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_agreement import alpha, kappa, ratings_of
from schema_rows import START, catalog, insert, judgement, label

MODELS = ("a/x", "b/y")


@pytest.fixture(scope="module")
def shared() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        yield connection


def fill(db: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict]) -> None:
    for table, found in (("labels", labels), ("judgements", judgements)):
        db.execute(f"delete from {table}")
        insert(db, table, found)


def rows(db: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = db.execute(sql)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_kappa_of_a_published_example(db: duckdb.DuckDBPyConnection) -> None:
    """Fifty grant proposals and two readers: both say yes to 20 and no to 15, one alone to 5, the other to 10."""
    verdicts = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = []
    for number, pair in enumerate(verdicts):
        for judge, verdict in zip(("human:a", "human:b"), pair, strict=True):
            found.append(judgement("a/x", 0, number, "t", "colour", verdict, judge))
    insert(db, "judgements", found)
    select = "select model_id, rater, other, items, agreed, agreement, expected, kappa, note from agreement"
    values = (50, 35, pytest.approx(0.7), pytest.approx(0.5), pytest.approx(0.4), None)
    expected = [("a/x", "human:a", "human:b", *values), (None, "human:a", "human:b", *values)]
    assert db.execute(f"{select} order by model_id nulls last").fetchall() == expected


def test_alpha_of_a_published_example(db: duckdb.DuckDBPyConnection) -> None:
    """Four observers, twelve units, missing data: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011."""
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    names = dict(zip("12345", ("colour", "shape", "texture", "number", "place"), strict=True))
    found = []
    for observer, line in enumerate(observers):
        for unit, value in enumerate(line):
            if value != ".":
                found.append(label("a/x", 0, unit, names[value], f"human:{observer}"))
    insert(db, "labels", found)
    (row,) = rows(db, "from krippendorff where model_id = 'a/x'")
    assert row["alpha"] == pytest.approx(0.743, abs=5e-4)
    counts = [row[name] for name in ("raters", "items", "unpaired", "ratings", "values")]
    assert counts == [4, 11, 1, 40, 5] and row["note"] is None
    assert row["observed"] == pytest.approx(0.2) and row["expected"] == pytest.approx(608 / (40 * 39) * 2)


quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


models = st.sampled_from(MODELS)


numbers = st.integers(0, 3)


runs = st.sampled_from("123")


words = st.sampled_from(["colour", "Colour.", "shape", " shape", "number", "."])


pools = st.sampled_from(["p", "p", "q"])


statuses = st.sampled_from(["ok", "ok", "ok", "rejected", "error"])


labellers = st.sampled_from(["zero-shot", "vote", "llm:x", "human:z", "human:y", "import:w"])


judges = st.sampled_from(["vote", "llm:x", "llm:y", "human:z"])


texts = st.sampled_from(["t1", "t2", "t3"])


verdicts = st.sampled_from([True, True, False, None])


label_sets = st.lists(
    st.builds(label, models, st.just(0), numbers, words | st.none(), labellers, runs, statuses, pools),
    max_size=40,
    unique_by=lambda row: tuple(row[name] for name in ("model_id", "head", "pool", "labeller", "run")),
)


judgement_sets = st.lists(
    st.builds(judgement, models, st.just(0), numbers, texts, words, verdicts, judges, runs, statuses),
    max_size=60,
    unique_by=lambda row: tuple(row[name] for name in ("model_id", "head", "text_id", "property", "judge", "run")),
)


@quick
@given(labels=label_sets, judgements=judgement_sets, pool=st.sampled_from([None, "p"]))
def test_agreement_of_pairs_is_a_count(
    shared: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict], pool: str | None
) -> None:
    fill(shared, labels, judgements)
    expected: dict[tuple, list[tuple[str, str]]] = {}
    for kind, units in ratings_of(labels, judgements, pool).items():
        for model in (*MODELS, None):
            own = [found for unit, found in units.items() if model in (None, unit[0])]
            for pair in combinations(sorted({rater for found in own for rater in found}), 2):
                values = [(found[pair[0]], found[pair[1]]) for found in own if set(pair) <= set(found)]
                # A rejection is compared with nothing but the name it rejects, or another rejection of that.
                about = [(a, b) for a, b in values if "not" not in a + b or a.split()[-1] == b.split()[-1]]
                expected[kind, model, *pair] = about
    given = "" if pool is None else f"of_pool := '{pool}'"
    found = {
        (row["kind"], row["model_id"], row["rater"], row["other"]): row
        for row in rows(shared, f"from agreement({given})")
    }
    assert set(found) == set(expected)
    for key, values in expected.items():
        row, n = found[key], len(values)
        assert (row["items"], row["agreed"]) == (n, sum(a == b for a, b in values))
        assert row["agreement"] == (pytest.approx(row["agreed"] / n) if n else None)
        number = kappa(values) if n else None
        assert row["kappa"] == (None if number is None else pytest.approx(number, abs=1e-9))
        with_vote = (key[0] == "judgements" and "vote" in key) or key[2:] == ("vote", "zero-shot")
        why = "no shared items" if n == 0 else "one value only" if number is None else None
        assert row["independent"] is not with_vote
        assert row["note"] == ("; ".join(filter(None, ["not independent" if with_vote else None, why])) or None)


@quick
@given(labels=label_sets, judgements=judgement_sets, who=st.sampled_from(["%", "human:%"]))
def test_alpha_is_a_count(
    shared: duckdb.DuckDBPyConnection, labels: list[dict], judgements: list[dict], who: str
) -> None:
    fill(shared, labels, judgements)
    expected = {}
    for kind, units in ratings_of(labels, judgements).items():
        for model in (*MODELS, None):
            kept = [
                {
                    rater: value
                    for rater, value in found.items()
                    if (kind == "labels" or rater != "vote") and rater.startswith(who.rstrip("%"))
                }
                for unit, found in units.items()
                if model in (None, unit[0])
            ]
            if any(kept):
                expected[kind, model] = [found for found in kept if found]
    found = {(row["kind"], row["model_id"]): row for row in rows(shared, f"from krippendorff(who := '{who}')")}
    assert set(found) == set(expected)
    for key, units in expected.items():
        row, paired = found[key], [unit for unit in units if len(unit) > 1]
        assert (row["items"], row["unpaired"]) == (len(paired), len(units) - len(paired))
        assert row["raters"] == len({rater for unit in paired for rater in unit})
        values = [value for unit in paired for value in unit.values()]
        assert (row["ratings"], row["values"]) == (len(values), len(set(values)))
        number = alpha([list(unit.values()) for unit in units])
        assert row["alpha"] == (None if number is None else pytest.approx(number, abs=1e-9))
        assert row["note"] == ("no shared items" if not paired else "one value only" if number is None else None)


def test_one_rater_agrees_with_nobody(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("a/x", 0, number, "colour") for number in range(3)])
    assert rows(db, "from agreement") == []
    found = rows(db, "select items, unpaired, raters, ratings, alpha, note from krippendorff")
    alone = {"items": 0, "unpaired": 3, "raters": 0, "ratings": 0, "alpha": None, "note": "no shared items"}
    assert found == [alone, alone]


def test_names_from_different_pools_are_compared_and_counted(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("a/x", 0, number, "colour", "llm:x", "1", pool="p") for number in range(3)])
    insert(db, "labels", [label("a/x", 0, 0, "shape", "llm:x", "2", pool="q")])
    insert(db, "labels", [label("a/x", 0, number, "colour", "human:z", "3", pool="p") for number in range(3)])
    select = "select items, same_pool, agreed from agreement{} where model_id = 'a/x'"
    assert db.execute(select.format("")).fetchall() == [(3, 2, 2)]
    assert db.execute(select.format("(of_pool := 'p')")).fetchall() == [(3, 3, 3)]


def test_names_that_people_gave_without_seeing_one_are_counted(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("a/x", 0, number, "colour", "llm:x") for number in range(4)])
    for number, run in enumerate("2234"):  # two blind, one not, and one of a run that nobody knows
        insert(db, "labels", [label("a/x", 0, number, "colour", "human:y", run)])
    insert(db, "labels", [label("a/x", 0, number, "colour", "human:z", "2") for number in range(1, 4)])
    insert(db, "judgements", [judgement("a/x", 0, 0, "t", "colour", True, who, "2") for who in ("human:y", "llm:x")])
    known = [("2", '{"blind": true}'), ("3", '{"blind": false}'), ("1", '{"labeller": "llm:x"}')]
    insert(
        db, "runs", [{"run": run, "command": "review", "arguments": said, "started_at": START} for run, said in known]
    )
    found = db.execute("select kind, rater, other, items, blind from agreement where model_id = 'a/x' order by all")
    assert found.fetchall() == [
        ("judgements", "human:y", "llm:x", 1, None),
        ("labels", "human:y", "human:z", 3, 1),
        ("labels", "human:y", "llm:x", 4, 2),
        ("labels", "human:z", "llm:x", 3, 3),
    ]
    insert(db, "labels", [label("a/x", 0, 0, "shape", "vote")])
    assert db.execute("select distinct blind from agreement where (rater, other) = ('llm:x', 'vote')").fetchall() == [
        (None,)
    ]


def test_a_rejection_disagrees_with_the_name_that_it_rejects_and_no_other(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("a/x", 0, number, "colour", "llm:x") for number in range(4)])
    insert(db, "labels", [label("a/x", 0, number, "shape", "vote") for number in range(4)])
    insert(db, "labels", [label("a/x", 0, 0, "colour", "human:z", "2")])
    insert(db, "labels", [label("a/x", 0, number, "Colour.", "human:z", "2", "rejected") for number in (1, 2)])
    select = "select other, items, agreed from agreement where rater = 'human:z' and model_id = 'a/x' order by other"
    assert db.execute(select).fetchall() == [("llm:x", 3, 1), ("vote", 1, 0)]
    insert(db, "labels", [label("a/x", 0, 1, "shape", "human:z", "3")])
    assert db.execute(select).fetchall() == [("llm:x", 3, 1), ("vote", 2, 1)]


def asked(
    number: int, name: str | None, run: str, prompt: str = "p", examples: str = "e", labeller: str = "llm:x"
) -> dict:
    row = label("a/x", 0, number, name, labeller, run, "ok" if name else "error")
    return row | {"prompt_sha256": prompt, "examples_sha256": examples}


def test_stability_is_over_runs_of_one_prompt_and_set_of_examples(db: duckdb.DuckDBPyConnection) -> None:
    names = ["colour", "Colour.", "shape", "colour", None]
    insert(db, "labels", [asked(0, name, str(run)) for run, name in enumerate(names)])
    insert(db, "labels", [asked(1, "shape", "1"), asked(1, "shape", "2"), asked(1, "number", "3", prompt="another")])
    insert(db, "labels", [asked(2, None, "1"), asked(1, "place", "4", examples="others")])
    insert(db, "labels", [asked(0, "place", "9", labeller="human:z")])
    insert(db, "labels", [label("a/x", 0, 3, None, "llm:x", run) | {"prompt_sha256": "p"} for run in "12"])
    select = "select head, prompt_sha256, examples_sha256, runs, failed, names, property, share, agreement"
    assert db.execute(f"{select} from label_stability order by all").fetchall() == [
        (0, "p", "e", 4, 1, 2, "colour", 0.75, 0.5),
        (1, "another", "e", 1, 0, 1, "number", 1.0, None),
        (1, "p", "e", 2, 0, 1, "shape", 1.0, 1.0),
        (1, "p", "others", 1, 0, 1, "place", 1.0, None),
        (2, "p", "e", 0, 1, 0, None, None, None),
        (3, "p", None, 2, 0, 1, "none of these", 1.0, 1.0),
    ]
    (row,) = rows(db, "select * exclude (model_id, pool) from labeller_stability")
    counts = {"labeller": "llm:x", "asked_heads": 6, "repeated_heads": 3, "stable_heads": 2, "failed": 2}
    assert row == counts | {"runs": 8 / 3, "names": 4 / 3, "share": 2.75 / 3, "agreement": 2.5 / 3}


@quick
@given(names=st.lists(st.sampled_from("abc"), max_size=8))
def test_stability_is_a_count(shared: duckdb.DuckDBPyConnection, names: list[str]) -> None:
    fill(shared, [asked(0, name, str(run)) for run, name in enumerate(names)], [])
    found = shared.execute("select runs, names, property, share, agreement from label_stability").fetchall()
    pairs = list(combinations(names, 2))
    most = min(set(names), key=lambda name: (-names.count(name), name), default="")
    agreement = pytest.approx(sum(a == b for a, b in pairs) / len(pairs)) if pairs else None
    expected = (len(names), len(set(names)), most, names.count(most) / max(len(names), 1), agreement)
    assert found == ([expected] if names else [])


def test_reviews_are_the_latest_decisions_of_people(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("a/x", 0, number, "colour", "llm:x") for number in range(6)])
    insert(db, "labels", [label("a/x", 0, 0, "shape", "vote")])
    people = [
        label("a/x", 0, 0, "Colour", "human:z", "2"),
        label("a/x", 0, 1, "shape", "human:z", "2"),
        label("a/x", 0, 2, "colour", "human:z", "2", "rejected"),
        label("a/x", 0, 3, "colour", "human:z", "2", "rejected"),
        label("a/x", 0, 3, "colour", "human:z", "3"),  # thought better of it
        label("a/x", 0, 4, "number", "human:z", "2", "rejected"),  # of another name
        label("a/x", 0, 0, "colour", "human:y", "3", "rejected"),
    ]
    insert(db, "labels", people)
    select = "select * exclude (model_id) from reviews order by labeller_rank(labeller), labeller"
    assert db.execute(select).fetchall() == [
        ("human:z", 3, 1, 0, 1, 1, 0, 0, 1, 0.0),
        ("llm:x", 6, 4, 1, 2, 5, 2, 1, 2, 0.4),
        ("vote", 1, 1, 0, 1, 1, 0, 1, 0, 0.0),
    ]
