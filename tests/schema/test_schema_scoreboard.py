"""The scoreboard: every model, source of names and judge side by side."""

from __future__ import annotations

from typing import Any

import duckdb
from schema_rows import head, insert, judgement, label, span


def fill_two_models(db: duckdb.DuckDBPyConnection) -> None:
    """Two models of four heads: three sources of names, and verdicts on the names of two of them."""
    heads = [(model, 0, number) for model in ("a/x", "b/y") for number in range(4)]
    insert(db, "head_statistics", [head(*key) for key in heads])
    for pool in ("p", "q"):
        insert(db, "spans", [span(*key, rank, f"{pool}{rank}", pool) for key in heads for rank in range(1, 6)])
    by_x = ["colour", "Colour.", "shape", "number"]
    insert(db, "labels", [label(*key, by_x[key[2]], "llm:x", "1") for key in heads])
    insert(db, "labels", [label(*key, "shape", "vote", "2", pool="q") for key in heads])
    insert(db, "labels", [label("a/x", 0, 0, "shape", "human:ann", "3"), label("a/x", 0, 3, "age", "human:ann", "3")])
    for number in range(4):
        for judge, fits in (("llm:x", 5), ("llm:y", number + 1)):
            rows = [judgement("a/x", 0, number, f"p{rank}", by_x[number], rank <= fits, judge) for rank in range(1, 6)]
            insert(db, "judgements", rows)
        rows = [judgement("a/x", 0, number, f"q{rank}", "shape", rank != 1, "llm:y") for rank in range(1, 6)]
        insert(db, "judgements", rows)
    insert(db, "judgements", [judgement("a/x", 0, 3, f"p{rank}", "age", True, "human:ann") for rank in range(1, 4)])


def scoreboard(db: duckdb.DuckDBPyConnection, columns: str, arguments: str = "") -> dict[tuple, tuple[Any, ...]]:
    rows = db.execute(f"select model_id, pool, labeller, judge, {columns} from scoreboard({arguments})").fetchall()
    found = {row[:4]: row[4:] for row in rows}
    assert len(found) == len(rows)
    return found


def test_every_source_has_its_entanglement_and_each_judge_of_its_names(db: duckdb.DuckDBPyConnection) -> None:
    fill_two_models(db)
    x, vote = ("a/x", "p", "llm:x"), ("a/x", "q", "vote")
    ann, current = ("a/x", "p", "human:ann"), ("a/x", None, "current")
    columns = "labelled_heads, entanglement, exclusive, association, judged_heads, unjudged_heads, ties, missing"
    assert scoreboard(db, columns) == {
        # x calls two of four heads by one name and finds every span fit; y finds 1, 2, 3 and 4 of five.
        (*x, "llm:x"): (4, 0.5, 0.5, 1.0, 4, 0, 0, 0),
        (*x, "llm:y"): (4, 0.5, 0.5, 0.5, 4, 0, 0, 0),
        # Of five spans both say yes of 1, 2, 3, 4: the others are ties.
        (*x, "majority"): (4, 0.5, 0.5, 1.0, 2, 2, 10, 0),
        # All heads share the vote's name, and y alone judged it.
        (*vote, "llm:y"): (4, 1.0, 0.0, 1.0, 4, 0, 0, 0),
        (*vote, "majority"): (4, 1.0, 0.0, 1.0, 4, 0, 0, 0),
        # Ann's 'shape' of head 0 was judged on the spans of q, her 'age' on those of p, by herself.
        (*ann, "human:ann"): (2, 0.0, 1.0, 1.0, 1, 1, 0, 7),
        (*ann, "majority"): (2, 0.0, 1.0, 1.0, 1, 1, 0, 7),
        # Ann's two names, then x's: shape, colour, shape, age.
        (*current, "human:ann"): (4, 0.5, 0.5, 1.0, 1, 3, 0, 17),
        (*current, "llm:x"): (4, 0.5, 0.5, 1.0, 2, 2, 0, 10),
        (*current, "llm:y"): (4, 0.5, 0.5, 0.5, 2, 2, 0, 10),
        (*current, "majority"): (4, 0.5, 0.5, 1.0, 2, 2, 5, 7),
        # Nobody judged the other model.
        ("b/y", "p", "llm:x", None): (4, 0.5, 0.5, None, 0, 4, None, None),
        ("b/y", "q", "vote", None): (4, 1.0, 0.0, None, 0, 4, None, None),
        ("b/y", None, "current", None): (4, 0.5, 0.5, None, 0, 4, None, None),
    }


def test_the_scoreboard_says_which_judges_are_not_independent(db: duckdb.DuckDBPyConnection) -> None:
    fill_two_models(db)
    notes = {key: note for key, (note,) in scoreboard(db, "note").items() if note is not None}
    own = "not independent: {} own".format
    assert notes == {
        ("a/x", "p", "llm:x", "llm:x"): own(4),
        ("a/x", "p", "llm:x", "majority"): own(4),
        ("a/x", "p", "human:ann", "human:ann"): "not independent: 1 own",
        ("a/x", "p", "human:ann", "majority"): "not independent: 1 own",
        ("a/x", None, "current", "human:ann"): "not independent: 1 own",
        ("a/x", None, "current", "llm:x"): own(2),
        ("a/x", None, "current", "majority"): own(3),
    }


def test_the_scoreboard_agrees_with_the_views_of_the_current_names(db: duckdb.DuckDBPyConnection) -> None:
    fill_two_models(db)
    shared = "entanglement, exclusive, effective_properties"
    whole = {
        row[0]: row[1:] for row in db.execute(f"select model_id, {shared} from entanglement(level := .5)").fetchall()
    }
    judged = "note, association, association_low, association_high, judged_heads, unjudged_heads, ties, missing"
    arguments = "min_agree := 2, top_n := 4, level := .5"
    select = f"select model_id, null, 'current', judge, {judged} from association({arguments})"
    by_judge = {row[:4]: row[4:] for row in db.execute(select).fetchall()}
    found = scoreboard(db, f"{shared}, {judged}", arguments)
    current = {key: row for key, row in found.items() if key[2] == "current"}
    assert {key for key in current if key[3] is not None} == set(by_judge)
    for key, row in current.items():
        assert row[:3] == whole[key[0]]
        if key[3] is not None:
            assert row[3:] == by_judge[key]
