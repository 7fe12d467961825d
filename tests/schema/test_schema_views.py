"""Views of names: which name of a head counts, and what its card says."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from schema_rows import head, insert, label, span

from clipdb.schema import views
from clipdb.schema.catalog import CATALOG


def named(db: duckdb.DuckDBPyConnection, select: str = "model_id, layer, head, property") -> list[tuple]:
    return db.execute(f"select {select} from head_properties order by all").fetchall()


def test_every_file_is_a_view_and_says_what_it_gives(db: duckdb.DuckDBPyConnection) -> None:
    folder = Path(views.__file__).parent / "views"
    assert sorted(path.stem for path in folder.glob("*.sql")) == sorted(view.name for view in views.load())
    for view in views.load():
        assert view.comment
        if not view.is_scalar:
            assert [row[0] for row in db.execute(f"describe {view.name}").fetchall()] == list(view.columns)
        if view.parameters and not view.is_scalar:
            defaults = db.execute(f"describe from {view.name}()").fetchall()
            assert defaults == db.execute(f"describe {view.name}").fetchall()


def test_an_empty_catalog_gives_no_rows(db: duckdb.DuckDBPyConnection) -> None:
    relations = [view.name for view in views.load() if not view.is_scalar]
    assert {name: db.execute(f"from {name}").fetchall() for name in relations} == {name: [] for name in relations}


def test_views_are_there_for_any_duckdb_client(index: Path, python) -> None:
    done = python(
        "import sys, duckdb; connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(connection.execute('from entanglement').fetchall(), "
        "connection.execute('from association(min_agree := 1, top_n := 2)').fetchall())",
        index / CATALOG,
    )
    assert (done.stdout, done.stderr) == ("[] []\n", "")


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Colour", "colour"),
        ("  colour. ", "colour"),
        ("COLOUR ?!", "colour"),
        ("colour\n", "colour"),
        ("time of day;", "time of day"),
        ("Été,", "été"),
        ("3.5 mm", "3.5 mm"),
        ("shape (2d)", "shape (2d)"),
        (" .", None),
        ("", None),
        (None, None),
    ],
)
def test_how_properties_compare(db: duckdb.DuckDBPyConnection, written: str | None, key: str | None) -> None:
    assert db.execute("select normal_property(?)", [written]).fetchone() == (key,)


def test_a_human_goes_before_evidence_before_an_llm_before_an_import_before_zero_shot_before_the_vote(
    db: duckdb.DuckDBPyConnection,
) -> None:
    expected = []
    for labeller, run in [
        ("someone", "9"),
        ("vote", "8"),
        ("zero-shot", "7"),
        ("import:paper", "6"),
        ("llm:x", "5"),
        ("evidence", "4"),
        ("human:ann", "3"),
    ]:
        insert(db, "labels", [label("m/w", 0, 0, f"by {labeller}", labeller, run)])
        expected.append([("m/w", 0, 0, f"by {labeller}")])
        assert named(db) == expected[-1]
    assert len(expected) == 7


def test_among_equals_the_newest_counts(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("m/w", 0, 0, "old", "llm:x", "1"), label("m/w", 0, 0, "new", "llm:y", "2")])
    insert(
        db,
        "labels",
        [label("m/w", 0, 1, "new", "llm:x", "1", minute=9), label("m/w", 0, 1, "old", "llm:x", "2")],
    )
    insert(db, "labels", [label("m/w", 0, 2, "one"), label("m/w", 0, 2, "two", run="2", minute=1)])
    assert named(db) == [("m/w", 0, 0, "new"), ("m/w", 0, 1, "new"), ("m/w", 0, 2, "two")]


def test_a_call_that_failed_is_no_label(db: duckdb.DuckDBPyConnection) -> None:
    rows = [label("m/w", 0, 0, "kept", "llm:x", "1"), label("m/w", 0, 0, None, "llm:x", "2", "error")]
    rows += [
        label("m/w", 0, 0, "wrong", "human:ann", "3", "rejected"),
        label("m/w", 0, 0, " . ", "human:ann", "4"),
    ]
    rows += [label("m/w", 0, 1, None, "llm:x", "1", "error"), label("m/w", 0, 2, None, "vote", "1")]
    insert(db, "labels", rows)
    assert named(db) == [("m/w", 0, 0, "kept")]


def test_each_source_has_its_newest_name(db: duckdb.DuckDBPyConnection) -> None:
    rows = [label("m/w", 0, 0, "old", "llm:x", "1"), label("m/w", 0, 0, "New.", "llm:x", "2")]
    rows += [label("m/w", 0, 0, None, "llm:x", "3", "error"), label("m/w", 0, 0, "by vote", run="4")]
    rows += [
        label("m/w", 0, 0, "of q", "llm:x", "1", pool="q"),
        label("m/w", 0, 0, "wrong", "human:z", "5", "rejected"),
    ]
    insert(db, "labels", rows)
    select = "select pool, labeller, property, property_key, run from head_labels order by all"
    assert db.execute(select).fetchall() == [
        ("p", "llm:x", "New.", "new", "2"),
        ("p", "vote", "by vote", "by vote", "4"),
        ("q", "llm:x", "of q", "of q", "1"),
    ]


def test_a_source_that_finds_no_name_any_more_has_none(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "labels", [label("m/w", 0, 0, "shape", "llm:x", "1"), label("m/w", 0, 0, "colour", "vote", "1")])
    assert named(db) == [("m/w", 0, 0, "shape")]
    insert(db, "labels", [label("m/w", 0, 0, None, "llm:x", "2")])
    assert named(db) == [("m/w", 0, 0, "colour")]


def test_what_a_measuring_labeller_found_is_a_share_and_no_confidence(db: duckdb.DuckDBPyConnection) -> None:
    by = ["human:z", "import:w", "llm:x", "vote", "zero-shot"]
    insert(db, "labels", [label("m/w", 0, n, "shape", one) | {"confidence": 0.75} for n, one in enumerate(by)])
    insert(db, "head_statistics", [head("m/w", 0, number) for number in range(5)])
    for view in ("head_labels", "head_properties", "head_cards"):
        found = db.execute(f"select labeller, confidence, share from {view} order by head").fetchall()
        assert found == [(one, 0.75, None) for one in by[:3]] + [(one, None, 0.75) for one in by[3:]], view


def test_a_card_says_why_a_head_has_no_name_or_only_a_lesser_one(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "head_statistics", [head("m/w", 0, 0)])

    def then(property: str | None, labeller: str, run: str, why: str | None = None, pool: str = "p") -> tuple | None:
        insert(db, "labels", [label("m/w", 0, 0, property, labeller, run, pool=pool) | {"rationale": why}])
        return db.execute("select property, labeller, note from head_cards").fetchone()

    assert then(None, "zero-shot", "1", "they are close") == (None, None, "they are close (zero-shot)")
    assert then("shape", "vote", "2", "2 of 3") == ("shape", "vote", "they are close (zero-shot)")
    assert then("colour", "zero-shot", "3", "it is") == ("colour", "zero-shot", None)
    assert then(None, "zero-shot", "4", "close again") == ("shape", "vote", "close again (zero-shot)")
    assert then("colour", "zero-shot", "5", "it is", "q") == ("colour", "zero-shot", None)  # from another pool
    assert then(None, "llm:x", "6", "mixed") == ("colour", "zero-shot", "mixed (llm:x)")
    assert then("count", "import:s", "7") == ("count", "import:s", "mixed (llm:x)")
    assert then("count", "human:z", "8") == ("count", "human:z", None)


def test_what_a_person_rejects_is_struck_until_a_person_gives_it_again(db: duckdb.DuckDBPyConnection) -> None:
    def then(property: str, labeller: str, run: str, status: str = "ok", pool: str = "p") -> tuple | None:
        insert(db, "labels", [label("m/w", 0, 0, property, labeller, run, status, pool)])
        return db.execute("select property, labeller from head_properties").fetchone()

    assert then("shape", "vote", "01") == ("shape", "vote")
    assert then("Colour", "llm:x", "02") == ("Colour", "llm:x")
    assert then("colour.", "human:ann", "03", "rejected", "another pool") == ("shape", "vote")
    assert then("COLOUR", "llm:y", "04") == ("shape", "vote")
    assert then("shape", "llm:y", "05", "rejected") == ("shape", "vote")  # nobody's answer, and no person's verdict
    assert then("SHAPE", "human:bob", "06", "rejected") is None
    assert then("colour", "human:bob", "07") == ("colour", "human:bob")
    assert then("colour", "human:ann", "08", "rejected") is None
    assert then("number", "llm:x", "09") == ("number", "llm:x")
    assert then("colour", "human:ann", "10") == ("colour", "human:ann")
    insert(db, "labels", [label("m/w", 0, 1, "colour", "llm:x"), label("m/x", 0, 0, "shape", "vote")])
    assert len(named(db)) == 3  # of other heads nothing is struck


def test_a_card_has_the_first_spans_of_the_pool_that_the_label_is_from(db: duckdb.DuckDBPyConnection) -> None:
    insert(db, "head_statistics", [head("m/w", 1, number) for number in range(4)])
    for number in range(3):
        insert(db, "spans", [span("m/w", 1, number, rank, f"p{rank}", "p", "1") for rank in (3, 1, 2)])
        insert(db, "spans", [span("m/w", 1, number, rank, f"q{rank}", "q", "2") for rank in (1, 2)])
    insert(
        db,
        "labels",
        [label("m/w", 1, 0, "Colour", pool="p"), label("m/w", 1, 1, "shape", pool="never spanned")],
    )
    cards = db.execute("select name, property, pool, spans from head_cards order by head").fetchall()
    assert cards == [
        ("L1.H0", "Colour", "p", ["p1", "p2", "p3"]),
        ("L1.H1", "shape", "q", ["q1", "q2"]),
        ("L1.H2", None, "q", ["q1", "q2"]),
        ("L1.H3", None, None, None),
    ]
    top = "select spans, variance_explained, cumulative_variance from head_cards(top_n := ?) where head = 0"
    assert db.execute(top, [2]).fetchone() == (["p1", "p2"], [0.1, 0.1], 0.2)
    of_pool = "select name, property, pool, spans from head_cards(only_pool := ?) order by head"
    assert db.execute(of_pool, ["p"]).fetchall() == [
        ("L1.H0", "Colour", "p", ["p1", "p2", "p3"]),
        ("L1.H1", None, "p", ["p1", "p2", "p3"]),
        ("L1.H2", None, "p", ["p1", "p2", "p3"]),
        ("L1.H3", None, None, None),
    ]
    names = [(f"L1.H{number}", None, None, None) for number in (0, 2, 3)]
    assert db.execute(of_pool, ["never spanned"]).fetchall() == [
        names[0], ("L1.H1", "shape", "never spanned", None), *names[1:],
    ]  # fmt: skip
