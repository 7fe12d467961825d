"""Views of verdicts: which of them count, for whom, and what is said of a judge that isn't independent."""

from __future__ import annotations

import duckdb
from schema_rows import insert, judgement, label, span


def test_verdicts_on_a_property_that_the_head_no_longer_has_do_not_count(
    db: duckdb.DuckDBPyConnection,
) -> None:
    insert(db, "labels", [label("m/w", 0, 0, "shape")])
    insert(db, "spans", [span("m/w", 0, 0, rank, f"t{rank}") for rank in range(1, 6)])
    insert(db, "judgements", [judgement("m/w", 0, 0, f"t{rank}", "colour", True) for rank in range(1, 6)])
    select = "select judged_heads, unjudged_heads, associated_heads, association from association"
    assert db.execute(select).fetchall() == [(0, 1, 0, None)]
    insert(db, "judgements", [judgement("m/w", 0, 0, f"t{rank}", "Shape.", rank < 4) for rank in range(1, 6)])
    assert db.execute(select).fetchall() == [(1, 0, 1, 1.0)]


def test_the_latest_verdict_counts_and_a_failed_call_is_none(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("m/w", 0, 0, "shape")])
    insert(db, "spans", [span("m/w", 0, 0, rank, f"t{rank}") for rank in range(1, 5)])
    rows = [judgement("m/w", 0, 0, f"t{rank}", "shape", True, run="1") for rank in range(1, 5)]
    rows += [
        judgement("m/w", 0, 0, "t1", "Shape", False, run="2"),
        judgement("m/w", 0, 0, "t2", "shape", None, run="2"),
    ]
    rows += [judgement("m/w", 0, 0, "t3", "shape", None, run="2", status="error")]
    insert(db, "judgements", rows)
    verdicts = db.execute("select text, verdict from head_verdicts order by rank").fetchall()
    assert verdicts == [("t1", False), ("t2", None), ("t3", True), ("t4", True)]


def test_the_votes_own_verdicts_stand_apart(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("m/w", 0, 0, "shape")])
    insert(db, "spans", [span("m/w", 0, 0, rank, f"t{rank}") for rank in range(1, 6)])
    for rank in range(1, 6):
        insert(db, "judgements", [judgement("m/w", 0, 0, f"t{rank}", "shape", True, "vote")])
        insert(db, "judgements", [judgement("m/w", 0, 0, f"t{rank}", "shape", False, "llm:x")])
    for name in ("association", "association_by_layer", "association_by_property"):
        rows = db.execute(f"select judge, independent, note, association from {name} order by judge").fetchall()
        assert rows == [("llm:x", True, None, 0.0), ("vote", False, "not independent", 1.0)]
    rows = db.execute("select judge, independent, note, ccs, ccs_group from ccs order by judge").fetchall()
    assert rows == [("llm:x", True, None, 0, "low"), ("vote", False, "not independent", 5, "high")]


def test_the_majority_leaves_out_the_vote_and_counts_ties_and_what_is_missing(db: duckdb.DuckDBPyConnection) -> None:
    said = {  # of the spans in order: what x, y and z say; 0 is an abstention, a blank no verdict
        "t1": "++-", "t2": "+- ", "t3": "-0 ", "t4": "000", "t5": "   ", "t6": "+++",
    }  # fmt: skip
    insert(db, "labels", [label("m/w", 0, 0, "shape"), label("alone/w", 0, 0, "shape")])
    for model in ("m/w", "alone/w"):
        insert(db, "spans", [span(model, 0, 0, rank, text) for rank, text in enumerate(said, 1)])
        insert(db, "judgements", [judgement(model, 0, 0, text, "shape", True, "vote") for text in said])
    verdicts = {"+": True, "-": False, "0": None}
    for text, signs in said.items():
        for judge, sign in zip("xyz", signs, strict=True):
            if sign != " ":
                insert(db, "judgements", [judgement("m/w", 0, 0, text, "Shape.", verdicts[sign], f"llm:{judge}")])
    insert(db, "judgements", [judgement("alone/w", 0, 0, "t1", "shape", True, "llm:x")])
    insert(db, "judgements", [judgement("alone/w", 0, 0, "t1", "shape", None, "llm:y", status="error")])
    select = "select text, verdict, yes, no from head_verdicts where judge = 'majority' order by model_id, rank"
    assert db.execute(select).fetchall() == [
        ("t1", True, 2, 1),
        ("t2", None, 1, 1),
        ("t3", False, 0, 1),
        ("t4", None, 0, 0),
        ("t6", True, 3, 0),
    ]
    scores = "select judge, judged, ties, missing, ccs, ccs_group from ccs where model_id = 'm/w' order by judge"
    assert db.execute(scores).fetchall() == [
        ("llm:x", 3, 0, 2, 2, None),
        ("llm:y", 2, 0, 3, 1, None),
        ("llm:z", 1, 0, 4, 0, None),
        ("majority", 2, 1, 2, 1, None),
        ("vote", 5, 0, 0, 5, "high"),
    ]
    counts = "select ties, missing, unjudged_heads, association from association where judge = 'majority'"
    assert db.execute(counts).fetchall() == [(1, 2, 1, None)]


def test_a_judge_of_its_own_names_is_not_independent(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("m/w", 0, 0, "shape", "llm:x"), label("m/w", 0, 1, "shape", "human:ann")])
    for number in range(2):
        insert(db, "spans", [span("m/w", 0, number, rank, f"t{rank}") for rank in range(1, 6)])
        for judge in ("llm:x", "llm:y", "vote"):
            rows = [judgement("m/w", 0, number, f"t{rank}", "shape", True, judge) for rank in range(1, 6)]
            insert(db, "judgements", rows)
    expected = {(0, "llm:x"), (0, "majority")}
    for view in ("ccs", "head_verdicts"):
        for number, judge, independent, note in db.execute(
            f"select head, judge, independent, note from {view}"
        ).fetchall():
            own = "not independent: own name" if (number, judge) in expected else None
            assert note == ("not independent" if judge == "vote" else own)
            assert independent == (note is None)
    select = "select judge, independent, note from association order by judge"
    assert db.execute(select).fetchall() == [
        ("llm:x", False, "not independent: 1 own"),
        ("llm:y", True, None),
        ("majority", False, "not independent: 1 own"),
        ("vote", False, "not independent"),
    ]


def test_a_missing_verdict_is_not_a_low_score(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("m/w", 0, number, "shape") for number in range(4)])
    for number, verdicts in enumerate([[True], [False] * 4, [True, True, False, False, False], []]):
        insert(db, "spans", [span("m/w", 0, number, rank, f"t{rank}") for rank in range(1, 7)])
        rows = [judgement("m/w", 0, number, f"t{rank}", "shape", verdict) for rank, verdict in enumerate(verdicts, 1)]
        insert(db, "judgements", rows)
    rows = db.execute("select judged, ccs, ccs_group from ccs order by head").fetchall()
    assert rows == [(1, 1, None), (4, 0, None), (5, 2, "moderate"), (0, None, None)]
    counts = db.execute("select labelled_heads, judged_heads, unjudged_heads, associated_heads from association")
    assert counts.fetchall() == [(4, 2, 2, 0)]
