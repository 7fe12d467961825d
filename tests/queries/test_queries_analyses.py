"""Named queries that ask the relations only: what several heads share, what few spans fit, what spans cover."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from built_index import HEADS, LAYERS, NOW, PROPERTIES, RUN, SPANS, Built, build, sha

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import catalog, creation

KEYS = [(layer, head) for layer in LAYERS for head in range(HEADS)]
FOLDED = {key[1:]: name.lower().rstrip(".") for key, name in PROPERTIES.items()}


def spans_of(layer: int, head: int, top: int = len(SPANS)) -> list[str]:
    return [SPANS[(place + layer + head) % len(SPANS)] for place in range(top)]


def dicts(result: Any) -> list[dict[str, Any]]:
    return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def variances(path: Path, **of_head: float) -> None:
    with catalog.changing(path) as connection:
        for head, variance in of_head.items():
            connection.execute(
                "update head_statistics set total_variance = ? where concat('L', layer, '.H', head) = ?",
                [variance, head.replace("_", ".")],
            )


def fitting(key: tuple[int, int], top: int) -> int:
    """How many of a head's first spans are judged to fit its property, as built_index judges."""
    colour = FOLDED[key] == "colour"
    return sum(colour == any(word in text for word in ("colour", "red", "blue")) for text in spans_of(*key, top))


@pytest.mark.parametrize(("top", "at_most"), [(5, 2), (5, 3), (3, 1)])
def test_polysemantic_heads_vary_much_and_fit_few_spans(tmp_path: Path, top: int, at_most: int) -> None:
    copy = build(tmp_path / "copy.clipdb")
    size = {"L1_H0": 1.0, "L1_H1": 2.0, "L1_H2": 6.0, "L2_H0": 5.0, "L2_H1": 7.0, "L2_H2": 9.0}
    variances(copy.path, **size)
    with clipdb.open(copy.path) as db:
        rows = dicts(db.query.polysemantic(top=top, at_most=at_most))
    above = [key for key in FOLDED if size[f"L{key[0]}_H{key[1]}"] >= 5.5]  # the median of six
    expected = sorted(
        (key for key in above if fitting(key, top) <= at_most), key=lambda key: -size[f"L{key[0]}_H{key[1]}"]
    )
    assert [row["head"] for row in rows] == [f"L{key[0]}.H{key[1]}" for key in expected]
    for row, key in zip(rows, expected, strict=True):
        assert row["ccs"] == fitting(key, top) and row["spans"] == spans_of(*key, top)
        assert row["variance_share"] == pytest.approx(size[f"L{key[0]}_H{key[1]}"] / 30)
        assert (row["judge"], row["note"]) == ("vote", "not independent")


def test_verdicts_that_are_missing_count_for_no_side(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("delete from judgements where text_id not in (?, ?)", [sha(SPANS[0]), sha(SPANS[1])])
    with clipdb.open(copy.path) as db:
        assert db.query.polysemantic(at_most=2).fetchall() == []  # two verdicts say nothing of the other three
        assert {row["judged"] for row in dicts(db.query.polysemantic(at_most=3))} == {2}


def test_properties_are_counted_by_layer(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    variances(copy.path, L1_H0=1.0, L1_H1=2.0, L1_H2=5.0)
    with clipdb.open(copy.path) as db:
        rows = dicts(db.query.properties_by_layer())
        colour = dicts(db.query.properties_by_layer("color"))
        wide = db.sql(
            "pivot (select layer, property_key from head_properties) on property_key using count(*) order by layer"
        ).fetchall()
    assert [(row["layer"], row["property"], row["heads"], row["carried_by"]) for row in rows] == [
        (1, "colour", 2, ["L1.H0", "L1.H1"]),
        (1, "shape", 1, ["L1.H2"]),
        (2, "colour", 1, ["L2.H0"]),
        (2, "counting", 1, ["L2.H1"]),
    ]
    assert [row["share_of_heads"] for row in rows] == pytest.approx([2 / 3, 1 / 3, 1 / 2, 1 / 2])
    assert [row["share_of_variance"] for row in rows] == pytest.approx([3 / 8, 5 / 8, 1 / 3, 1 / 3])
    # A filter takes rows away and leaves shares as they are.
    assert colour == [row for row in rows if row["property"] == "colour"]
    assert wide == [(1, 2, 0, 1), (2, 1, 1, 0)]


@pytest.mark.parametrize("top", [1, 2, 5])
def test_shared_spans_are_plain_counts(built: Built, top: int) -> None:
    with clipdb.open(built.path) as db:
        rows = dicts(db.query.spans_shared(top=top))
    carriers = {text: [key for key in KEYS if text in spans_of(*key, top)] for text in SPANS}
    expected = {text: keys for text, keys in carriers.items() if len(keys) > 1}
    assert {row["span"]: row["shared_by"] for row in rows} == {
        text: [f"L{key[0]}.H{key[1]}" for key in keys] for text, keys in expected.items()
    }
    for row in rows:
        keys = expected[row["span"]]
        assert row["properties"] == sorted({FOLDED[key] for key in keys if key in FOLDED})
        shares = [0.3 / (spans_of(*key).index(row["span"]) + 1) for key in keys]
        assert row["mean_variance"] == pytest.approx(sum(shares) / len(shares))
    assert [row["heads"] for row in rows] == sorted((row["heads"] for row in rows), reverse=True)


def test_coverage_is_of_all_spans_of_a_pool(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute(
            "insert into spans values ('one/a', 1, 0, 'mine', 1, ?, 'mine', 0.05, 0.05, ?, null)", [sha("mine"), RUN]
        )
    with clipdb.open(copy.path) as db:
        rows = dicts(db.query.coverage())
        general = dicts(db.query.coverage(pool="general"))
    assert (rows[0]["head"], rows[0]["pool"], rows[0]["spans"], rows[0]["variance"]) == ("L1.H0", "mine", 1, 0.05)
    assert len(rows) == 7 and general == rows[1:]
    for row in general:
        assert row["spans"] == 5 and row["first_variance"] == 0.3
        assert math.isclose(row["variance"], sum(0.3 / rank for rank in range(1, 6)))


def test_failed_images_say_why(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("insert into runs (run, command, started_at) values (?, 'ingest images', ?)", [RUN, NOW])
        connection.execute("insert into image_failures values ('b.png', 'truncated', ?)", [RUN])
        connection.execute("insert into image_failures values ('a.png', 'empty', 'unknown')")
    with clipdb.open(copy.path) as db:
        assert db.query.images_failed().fetchall() == [("a.png", "empty", None), ("b.png", "truncated", NOW)]


@pytest.mark.parametrize(
    ("query", "missing", "command"),
    [
        ("polysemantic", "names of heads", "clipdb label"),
        ("properties_by_layer", "names of heads", "clipdb label"),
        ("spans_shared", "spans", "clipdb span"),
        ("coverage", "spans", "clipdb span"),
        ("alike", "heads", "clipdb ingest images"),
        ("redundant", "heads", "clipdb ingest images"),
    ],
)
def test_an_index_that_lacks_something_says_what_to_run(tmp_path: Path, query: str, missing: str, command: str) -> None:
    creation.create(tmp_path / "empty.clipdb")
    with clipdb.open(tmp_path / "empty.clipdb") as db, pytest.raises(ClipdbError) as caught:
        getattr(db.query, query)()
    assert str(caught.value).startswith(f"this index has no {missing} yet: run `{command}")


def test_without_judgements_the_command_is_named(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("delete from judgements")
    with clipdb.open(copy.path) as db, pytest.raises(ClipdbError, match="no judgements yet: run `clipdb judge`"):
        db.query.polysemantic()
