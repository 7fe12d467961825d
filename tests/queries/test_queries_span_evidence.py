"""What spans find among images, against scikit-learn's average precision and rankings drawn at random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from built_index import SPANS, Built, build
from sklearn.metrics import average_precision_score
from support import refused, rows

import clipdb
from clipdb.queries.functions.base.average_precision import average_precisions, best_value, chance_lifts
from clipdb.schema import catalog
from clipdb.schema.names import parse_head

MODEL, IMAGES = "one/a", 60
KEYS = ("Colour", "size")


def value(key: str, number: int) -> str | None:
    """What the image of a number has under a key: every eighth has no size, and one value is rare."""
    if key == "Colour":
        return "rare" if number in (7, 33) else "rgb"[number * number % 3]
    return None if number % 8 == 0 else "sl"[number // 4 % 2]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    made = build(tmp_path_factory.mktemp("spans") / "spans.clipdb", images=IMAGES, seed=43)
    with catalog.changing(made.path) as connection:
        for number, one in enumerate(made.ids):
            known = [f'"{key}": "{value(key, number)}"' for key in KEYS if value(key, number)]
            connection.execute("update images set metadata = ? where image_id = ?", [f"{{{', '.join(known)}}}", one])
    return made


@pytest.fixture
def db(index: Built) -> Iterator[clipdb.Index]:
    with clipdb.open(index.path) as opened:
        yield opened


def scores(index: Built, head: str, span: str) -> np.ndarray:
    """Each image's y . Q^T t, with t as it is stored."""
    import lance

    texts = lance.dataset(str(index.path / "vectors" / "one__a.texts.lance")).to_table(columns=["embedding"])
    text = np.array(texts.column("embedding").to_pylist()[SPANS.index(span)])
    layer, number = parse_head(head)
    [(basis,)] = rows(
        index.path, "select basis from bases where (model_id, layer, head) = (?, ?, ?)", MODEL, layer, number
    )
    return index.vectors[MODEL, layer, number] @ (np.reshape(basis, (8, 4)).T @ text)


def test_each_row_has_the_value_that_the_span_finds_best(db: clipdb.Index, index: Built) -> None:
    found = db.rows("span_evidence", spans=3)
    assert len(found) == 6 * 3 * 3, "heads, spans, and keys with the label"
    for row in found:
        if row["key"] == "label":
            continue
        given = scores(index, row["head"], row["span"])
        true = [value(row["key"], number) for number in range(IMAGES)]
        used = [n for n in range(IMAGES) if true[n] is not None and not np.isnan(given[n])]
        assert row["images"] == len(used)
        best = {}
        for one in {true[n] for n in used} - {"rare"}:
            hit = [true[n] == one for n in used]
            area = average_precision_score(hit, given[used])
            best[one] = ((area - np.mean(hit)) / (1 - np.mean(hit)), area, np.mean(hit))
        name = max(best, key=lambda one: best[one])
        assert row["value"] == name
        assert (row["lift"], row["auprc"], row["frequency"]) == pytest.approx(best[name], abs=1e-6)
        assert (row["p"] < 0.05) == (row["lift"] > row["chance"])


def test_chance_is_that_of_the_best_of_all_values() -> None:
    rng = np.random.default_rng(9)
    members = rng.choice(4, size=80, p=[0.5, 0.3, 0.15, 0.05])
    sizes = np.bincount(members)
    best = []
    for _ in range(400):
        at_random = rng.normal(size=80)
        areas = [average_precision_score(members == one, at_random) for one in range(4)]
        best.append(max((areas[one] - sizes[one] / 80) / (1 - sizes[one] / 80) for one in range(4) if sizes[one] >= 5))
    drawn = chance_lifts(members, 4, 5)
    assert drawn.mean() == pytest.approx(np.mean(best), abs=0.015)
    assert np.quantile(drawn, 0.95) == pytest.approx(np.quantile(best, 0.95), abs=0.04)


def test_areas_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(10)
    given, members = rng.normal(size=500), rng.integers(7, size=500)
    members[members == 5] = 4
    areas = average_precisions(members[np.argsort(-given)], 7)
    for one in {0, 1, 2, 3, 4, 6}:
        assert areas[one] == pytest.approx(average_precision_score(members == one, given))
    assert np.isnan(areas[5])
    assert best_value(np.array([0.4, 0.9]), np.array([10, 4]), 5) == (0, pytest.approx((0.4 - 10 / 14) / (1 - 10 / 14)))
    assert best_value(np.array([0.4, 0.9]), np.array([4, 4]), 5) is None


def test_the_query_shows_one_key_a_span_or_the_one_asked_for(db: clipdb.Index) -> None:
    result = db.query.span_evidence(head="L2.H0")
    shown = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    assert [row["rank"] for row in shown] == [1, 2, 3, 4, 5]
    every = db.rows("span_evidence", head="L2.H0")
    for row in shown:
        of_span = {one["key"]: one["lift"] - one["chance"] for one in every if one["rank"] == row["rank"]}
        assert row["key"] == max(of_span, key=lambda key: of_span[key]) and row["property"] == "colour"
        (alone,) = [one["p"] for one in every if (one["rank"], one["key"]) == (row["rank"], row["key"])]
        assert row["p"] == pytest.approx(min(1, 3 * alone)), "the row was chosen from three keys"
    assert {row[3] for row in db.query.span_evidence(key="size", spans=1).fetchall()} == {"size"}


def test_images_of_pairs_do_not_count(index: Built, tmp_path: Path) -> None:
    import shutil

    own = tmp_path / "pairs.clipdb"
    shutil.copytree(index.path, own)
    with catalog.changing(own) as connection:
        columns = "image_a, image_b, attribute, value_a, value_b, run"
        connection.execute(f"insert into pairs ({columns}) values (?, ?, 'Colour', 'r', 'g', 'x')", index.ids[:2])
    with clipdb.open(own) as db:
        assert {row["images"] for row in db.rows("span_evidence", head="L2.H0", key="Colour")} == {IMAGES - 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--spans", "0"), "spans is 0: measure at least 1"),
        (("--head", "L9.H9"), "no head L9.H9 in this index"),
        (("--key", "none"), "no image has 'none' in its metadata"),
    ],
)
def test_bad_questions(index: Built, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("query", "span-evidence", *arguments, "-i", index.path)


def test_without_spans(tmp_path: Path) -> None:
    bare = build(tmp_path / "bare.clipdb", images=12)
    with catalog.changing(bare.path) as connection:
        connection.execute("delete from spans")
    assert "has no spans yet: run `clipdb span" in refused("query", "span-evidence", "-i", bare.path)
