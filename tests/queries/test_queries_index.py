from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest
import sqlalchemy
from built_index import PROPERTIES, SPANS, Built

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import creation

FOLDED = {key: name.lower().rstrip(".") for key, name in PROPERTIES.items()}


def test_heads_are_listed_with_their_top_spans(built: Built) -> None:
    with clipdb.open(built.path) as db:
        result = db.query.heads()
        rows = result.fetchall()
        assert result.columns == [
            "model_id",
            "head",
            "property",
            "labeller",
            "tested",
            "share",
            "probability",
            "confidence",
            "spans",
            "variance",
            "note",
            "aligner_r2",
        ]
        assert len(db.query.heads(layer=1).fetchall()) == 3
        assert len(db.query.heads(top=5).fetchall()[0][8]) == 5
        assert [row[1] for row in db.query.heads("count").fetchall()] == ["L2.H1"]
    assert [row[1] for row in rows] == ["L1.H0", "L1.H1", "L1.H2", "L2.H0", "L2.H1", "L2.H2"]
    first = rows[0]
    assert first[2:8] == ("colour", "vote", None, 0.75, None, None)
    assert first[8] == [SPANS[(place + 1) % 5] for place in range(3)]
    assert math.isclose(first[9], 0.3 + 0.15 + 0.1)
    assert rows[5][2:7] == (None,) * 5


def test_a_card_lists_spans_by_rank(built: Built) -> None:
    with clipdb.open(built.path) as db:
        rows = db.query.head("L2.H2").fetchall()
        assert [row[7] for row in rows] == [1, 2, 3, 4, 5]
        assert rows == db.query.head(head="l2.h2", model="one/a").fetchall()
        assert rows[-1][10] == pytest.approx(sum(0.3 / rank for rank in range(1, 6)))


@pytest.mark.parametrize("word", ["colour", "color", "COL", "olor", " Colour "])
def test_a_property_is_found_by_part_and_in_american(built: Built, word: str) -> None:
    with clipdb.open(built.path) as db:
        heads = {row[1] for row in db.query.property(word).fetchall()}
    assert heads == {f"L{layer}.H{head}" for (_, layer, head), name in FOLDED.items() if name == "colour"}


def test_properties_count_their_heads(built: Built) -> None:
    with clipdb.open(built.path) as db:
        rows = db.query.properties().fetchall()
    assert {row[1]: row[2] for row in rows} == Counter(FOLDED.values())
    assert rows[0][3] == ["L1.H0", "L1.H1", "L2.H0"]


def test_spans_are_searched(built: Built) -> None:
    with clipdb.open(built.path) as db:
        found = db.query.spans("gray").fetchall()
        assert len(found) == 6 and {row[4] for row in found} == {"a grey wall"}
        assert [row[5] for row in found] == sorted((row[5] for row in found), reverse=True)
        assert [row[1] for row in db.query.spans("GREY", head="L2.H0").fetchall()] == ["L2.H0"]
        assert len(db.query.spans("a", pool="general").fetchall()) == 30
        with pytest.raises(ClipdbError, match="no pool 'other' in this index: it has general"):
            db.query.spans("a", pool="other")


@pytest.mark.parametrize("by", ["model", "layer", "property"])
def test_entanglement_is_a_plain_count(built: Built, by: str) -> None:
    carriers = Counter(FOLDED.values())
    effective = math.exp(-sum(n / 5 * math.log(n / 5) for n in carriers.values()))
    expected = {}
    for key, name in FOLDED.items():
        part = {"model": "all heads", "layer": f"layer {key[1]}", "property": name}[by]
        shared, total = expected.get(part, (0, 0))
        expected[part] = (shared + (carriers[name] > 1), total + 1)
    with clipdb.open(built.path) as db:
        result = db.query.entanglement(by)
        found = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    assert {row["part"] for row in found} == set(expected)
    for row in found:
        shared, total = expected[row["part"]]
        assert (row["shared"], row["labelled"]) == (shared, total)
        assert row["entanglement"] == pytest.approx(shared / total)
        assert row["exclusive"] == pytest.approx(1 - shared / total)
        assert row["effective_properties"] == pytest.approx(effective)


def _fits(key: tuple[str, int, int], text: str) -> bool:
    return (FOLDED[key] == "colour") == any(word in text for word in ("colour", "red", "blue"))


@pytest.mark.parametrize(("agree", "top"), [(3, 5), (2, 3), (1, 1)])
def test_association_and_ccs_are_plain_counts(built: Built, agree: int, top: int) -> None:
    fitting = {key: sum(_fits(key, SPANS[(rank + key[1] + key[2]) % 5]) for rank in range(top)) for key in PROPERTIES}
    with clipdb.open(built.path) as db:
        result = db.query.association(min_agree=agree, top=top)
        row = dict(zip(result.columns, result.fetchall()[0], strict=True))
        ccs = {found[1]: found[5] for found in db.query.ccs(top=top).fetchall()}
    assert (row["judge"], row["note"], row["judged"]) == ("vote", "not independent", 5)
    assert row["association"] == pytest.approx(sum(count >= agree for count in fitting.values()) / 5)
    assert ccs == {f"L{layer}.H{head}": count for (_, layer, head), count in fitting.items()}


@pytest.mark.parametrize(("by", "rows"), [("model", 1), ("layer", 2), ("property", 3)])
def test_association_says_its_judge_in_every_row(built: Built, by: str, rows: int) -> None:
    with clipdb.open(built.path) as db:
        found = db.query.association(by=by).project("judge, note").fetchall()
    assert found == [("vote", "not independent")] * rows


def test_layers_are_summed_up(built: Built) -> None:
    with clipdb.open(built.path) as db:
        rows = db.query.layers().project("layer, heads, labelled, properties, total_variance").fetchall()
    assert [row[:3] for row in rows] == [(1, 3, 3), (2, 3, 2)]
    assert rows[0][3:] == (["colour", "shape"], 12.0)


def test_models_are_kept_apart(two: Built) -> None:
    with clipdb.open(two.path) as db:
        assert len(db.query.heads().fetchall()) == 12
        assert {row[0] for row in db.query.heads(model="two/b").fetchall()} == {"two/b"}
        assert [row[0] for row in db.query.entanglement().fetchall()] == ["one/a", "two/b"]
        with pytest.raises(ClipdbError, match=r"several models: choose one with --model \(one/a, two/b\)"):
            db.query.head("L1.H0")
        with pytest.raises(ClipdbError, match="no model 'x' in this index: it has one/a, two/b"):
            db.query.head("L1.H0", model="x")
        assert len(db.query.head("L1.H0", model="two/b").fetchall()) == 5
    with clipdb.open(two.path, model="two/b") as db:
        assert {row[0] for row in db.query.heads().fetchall()} == {"two/b"}


@pytest.mark.parametrize(
    ("query", "values", "problem"),
    [
        ("head", {}, "head needs --head"),
        ("head", {"head": "L1.H7"}, "no head L1.H7 in this index: it has layers 1, 2 with 3 heads each"),
        ("head", {"head": "seven"}, "'seven' is not a head"),
        ("head", {"heads": "L1.H1"}, "no parameter 'heads': it takes head, model"),
        ("property", {"property": "colr"}, "no head carries the property 'colr': there are"),
        ("property", {"property": "zzzz"}, "there are"),
        ("property", {"property": " "}, "--property is empty"),
        ("association", {"by": "pool"}, "--by takes model, layer, property, not 'pool'"),
        ("heads", {"layer": "one"}, "--layer takes a whole number, not 'one'"),
        ("neighbours", {"image": "3"}, "neighbours needs --head"),
        ("neighbours", {"image": "no.png", "head": "L1.H0"}, "no image 'no.png' in this index"),
        ("neighbours", {"image": "9" * 300, "head": "L1.H0"}, f"no image '{'9' * 300}' in this index"),
        ("neighbours", {"image": "3", "head": "L1.H0", "measure": "l2"}, "--measure takes cosine, dot, centred"),
    ],
)
def test_bad_values_are_said_in_a_line(built: Built, query: str, values: dict[str, str], problem: str) -> None:
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        getattr(db.query, query)(**values)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [["a"], 3, 1.5, {"a": 1}, object(), np.arange(4).reshape(2, 2)])
def test_values_of_another_type_are_said_in_a_line(built: Built, wrong: object) -> None:
    kind = type(wrong).__name__
    with clipdb.open(built.path) as db:
        for query, name in (("text_neighbours", "text"), ("neighbours", "image"), ("neighbours", "head")):
            values = {"head": "L1.H0", "text": SPANS[0]} if name == "text" else {"head": "L1.H0", "image": built.ids[0]}
            values[name] = wrong  # type: ignore[assignment]
            with pytest.raises(ClipdbError) as caught:
                db.rows(query, **values)
            assert str(caught.value) == f"{query} takes {name} as VARCHAR, not a value of type {kind}"
            with pytest.raises(ClipdbError, match=f"^--{name} takes an? {name}, not a value of type {kind}$"):
                getattr(db.query, query)(**values)
        with pytest.raises(ClipdbError, match="takes a model, not a value of type"):
            db.query.heads(model=wrong)
        with pytest.raises(ClipdbError, match="neighbours takes k as BIGINT, not a value of type str"):
            db.rows("neighbours", head="L1.H0", image=built.ids[0], k="ten")


def test_one_index_is_opened_twice(two: Built) -> None:
    """As in a notebook; connections of one process to one file share more than their tables."""

    def answers(db: clipdb.Index, model: str) -> list[list[tuple]]:
        near = "select image_id from neighbours($model, 'L1.H0', $image, 5)"
        return [
            db.sql("select image_id from image_vectors order by l1h0[1] limit 3").fetchall(),
            db.sql(near, model=model, image=two.ids[3]).fetchall(),
        ]

    with clipdb.open(two.path, model="one/a") as alone:
        one = answers(alone, "one/a")
    with clipdb.open(two.path, model="two/b") as db:
        its_own = answers(db, "two/b")
        assert its_own[0] != one[0] and its_own[1] != one[1]
        for _ in range(2):
            with clipdb.open(two.path, model="one/a") as other:
                assert answers(other, "one/a") == one
                assert answers(db, "two/b") == its_own
                assert answers(other, "one/a") == one
            assert answers(db, "two/b") == its_own


@pytest.mark.parametrize(
    ("query", "missing", "command"),
    [
        ("heads", "heads", "clipdb ingest images"),
        ("properties", "names of heads", "clipdb label"),
        ("spans", "spans", "clipdb span"),
        ("entanglement", "names of heads", "clipdb label"),
    ],
)
def test_an_empty_index_says_what_to_run(tmp_path: Path, query: str, missing: str, command: str) -> None:
    creation.create(tmp_path / "empty.clipdb")
    values = {"text": "red"} if query == "spans" else {}
    with clipdb.open(tmp_path / "empty.clipdb") as db, pytest.raises(ClipdbError) as caught:
        getattr(db.query, query)(**values)
    assert str(caught.value).startswith(f"this index has no {missing} yet: run `{command}")


def test_an_index_without_vectors_says_so(tmp_path: Path) -> None:
    creation.create(tmp_path / "empty.clipdb")
    with clipdb.open(tmp_path / "empty.clipdb") as db:
        with pytest.raises(ClipdbError, match="no models yet"):
            db.sql("select * from image_vectors")
        with pytest.raises(ClipdbError, match="no models yet"):
            db.execute("select * from neighbours(null, 'L1.H0', 'a', 3)")


def test_sql_binds_its_parameters(built: Built) -> None:
    with clipdb.open(built.path) as db:
        assert db.sql("select $text as t, $n + 1", text="'; drop table heads; --", n=2).fetchall() == [
            ("'; drop table heads; --", 3)
        ]
        assert len(db.query.spans("' or true --").fetchall()) == 0
        assert db.sql("select count(*) as n from heads").df()["n"].tolist() == [6]
        assert db.sql("select count(*) as n from heads").pl()["n"].to_list() == [6]
        assert db.sql("select count(*) as n from heads").to_arrow_table().column("n").to_pylist() == [6]
        with pytest.raises(duckdb.Error, match="read-only"):
            db.execute("delete from head_statistics")


def test_the_engine_reads_the_same_tables(built: Built) -> None:
    with clipdb.open(built.path) as db, db.engine.connect() as connection:
        counted = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(clipdb.schema.heads))
        assert counted.scalar_one() == 6
        assert db.sql("select count(*) from image_vectors").fetchall() == [(40,)]


def test_queries_of_a_folder_are_methods(built: Built, tmp_path: Path) -> None:
    (tmp_path / "big_heads.sql").write_text(
        "-- Big heads\n-- $over number = 1: Least variance.\nselect name from heads where total_variance > $over"
    )
    with clipdb.open(built.path, queries=[tmp_path]) as db:
        assert len(db.query.big_heads().fetchall()) == 6
        assert db.query.big_heads(over=5).fetchall() == []
        assert "big_heads" in dir(db.query) and "Least variance." in (db.query.big_heads.__doc__ or "")
        with pytest.raises(ClipdbError, match="takes 1 parameters and 2"):
            db.query.big_heads(1, 2)
        with pytest.raises(ClipdbError, match="no query is called 'big_head'"):
            db.query.big_head()


def test_no_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClipdbError, match=r"no index at .*: make one with"):
        clipdb.open(tmp_path / "none.clipdb")


def test_importing_clipdb_costs_nothing() -> None:
    code = "import sys; before = set(sys.modules); import clipdb; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "clipdb" in loaded
    assert not {"duckdb", "numpy", "pyarrow", "lance", "sqlalchemy", "torch", "click"} & set(loaded)
    assert {"open", "Index", "ClipdbError", "schema"} <= set(dir(clipdb))
    with pytest.raises(AttributeError):
        clipdb.nothing  # noqa: B018
