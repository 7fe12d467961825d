from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_index import SPANS, Built, build, sha

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema import catalog


def ranked(built: Built, scores: np.ndarray, k: int) -> list[tuple[str, float]]:
    pairs = [(image, score) for image, score in zip(built.ids, scores, strict=True) if not np.isnan(score)]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]


def agree(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> bool:
    return [one for one, _ in found] == [one for one, _ in expected] and np.allclose(
        [score for _, score in found], [score for _, score in expected], atol=1e-5
    )


def text_direction(db: clipdb.Index, head: str, text: str) -> np.ndarray:
    """Q^T t from what is stored, in float64."""
    basis = np.reshape(db.sql("select basis from heads where name = $head", head=head).fetchall()[0][0], (8, 4))
    embedding = db.sql("select embedding from text_vectors where text_id = $id", id=sha(text)).fetchall()[0][0]
    return basis.astype(np.float64).T @ np.asarray(embedding, np.float64)


@pytest.mark.parametrize(("layer", "head"), [(1, 2), (2, 0)])
@pytest.mark.parametrize("k", [3, 1000])
def test_activation_is_the_distance_from_the_mean(built: Built, layer: int, head: int, k: int) -> None:
    vectors = built.vectors["one/a", layer, head]
    lengths = np.linalg.norm(vectors - np.nanmean(vectors, axis=0), axis=1)
    with clipdb.open(built.path) as db:
        rows = db.query.activating(f"L{layer}.H{head}", k=k).fetchall()
    most = [(row[3], row[2]) for row in rows if row[0] == "most"]
    least = [(row[3], -row[2]) for row in rows if row[0] == "least"]
    assert agree(most, ranked(built, lengths, k)) and agree(least, ranked(built, -lengths, k))
    assert [row[1] for row in rows] == 2 * list(range(1, len(most) + 1)) and rows[0][0] == "most"
    assert rows[0][5] == str(built.files[built.ids.index(rows[0][3])])


@pytest.mark.parametrize("given", [{"text": SPANS[3]}, {"span": 2}])
def test_along_a_text_or_a_span_the_score_is_a_centred_share(built: Built, given: dict[str, object]) -> None:
    vectors = built.vectors["one/a", 2, 1]
    text = str(given.get("text", SPANS[(1 + 2 + 1) % 5]))  # how built_index orders the spans of a head
    with clipdb.open(built.path) as db:
        rows = db.query.activating("L2.H1", k=7, **given).fetchall()
        shares = vectors @ text_direction(db, "L2.H1", text)
    shares -= shares.mean()
    assert agree([(row[3], row[2]) for row in rows if row[0] == "most"], ranked(built, shares, 7))
    assert agree([(row[3], -row[2]) for row in rows if row[0] == "least"], ranked(built, -shares, 7))


def test_it_correlates_with_heads(built: Built) -> None:
    with clipdb.open(built.path) as db:
        rows = db.sql(
            "select heads.name, image_id from heads, lateral activating(model_id, heads.name, k := 1) "
            "where side = 'most'"
        ).fetchall()
        one = db.sql("select image_id from activating(null, 'L1.H1', k := 1) where side = 'most'").fetchall()
    assert len(rows) == 6 and ("L1.H1", one[0][0]) in rows


def mahalanobis(vectors: np.ndarray) -> np.ndarray:
    """Distances under the covariance that Ledoit and Wolf (2004) shrink, written as their section 3.2 has it."""
    there = vectors[~np.isnan(vectors[:, 0])]
    centred = there - there.mean(axis=0)
    number, size = centred.shape
    sample = centred.T @ centred / number

    def squared(matrix: np.ndarray) -> float:
        return float(np.trace(matrix @ matrix.T) / size)

    mu = np.trace(sample) / size
    d2 = squared(sample - mu * np.eye(size))
    b2 = min(sum(squared(np.outer(x, x) - sample) for x in centred) / number**2, d2)
    inverse = np.linalg.inv(b2 / d2 * mu * np.eye(size) + (d2 - b2) / d2 * sample)
    away = vectors - there.mean(axis=0)
    return np.sqrt(np.einsum("nk,kl,nl->n", away, inverse, away))


@pytest.mark.parametrize(("layer", "head"), [(1, 0), (2, 2)])
def test_outliers_are_farthest_in_mahalanobis_distance(built: Built, layer: int, head: int) -> None:
    distances = mahalanobis(built.vectors["one/a", layer, head])
    with clipdb.open(built.path) as db:
        rows = db.query.outliers(f"L{layer}.H{head}", k=6).fetchall()
        assert len(db.query.outliers(f"L{layer}.H{head}", k=1000).fetchall()) == np.count_nonzero(
            distances == distances
        )
    assert agree([(row[3], row[1]) for row in rows], ranked(built, distances, 6))
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row[2] for row in rows] == pytest.approx([row[1] / np.nanmedian(distances) for row in rows], rel=1e-4)


def test_fewer_images_than_dimensions_will_do(tmp_path: Path) -> None:
    copy = build(tmp_path / "few.clipdb", images=5)
    with clipdb.open(copy.path) as db:
        found = db.sql("select image_id, distance from outliers(null, 'L1.H0')").fetchall()
    assert agree(found, ranked(copy, mahalanobis(copy.vectors["one/a", 1, 0]), 3)) and len(found) == 3


@pytest.mark.parametrize(
    ("query", "values", "problem"),
    [
        ("activating", {}, "activating needs --head"),
        ("activating", {"head": "L9.H1"}, "no head L9.H1 in this index: it has layers 1, 2"),
        ("activating", {"head": "L1.H1", "k": 0}, "k is 0: ask for at least 1"),
        ("activating", {"head": "L1.H1", "text": " "}, "--text is empty"),
        ("activating", {"head": "L1.H1", "text": "red", "span": 1}, "both a text and a span are given"),
        ("activating", {"head": "L1.H1", "span": 9}, "L1.H1 has no span 9: it has spans 1 to 5"),
        ("outliers", {"head": "L1.H1", "k": -2}, "k is -2"),
        ("outliers", {"head": "x"}, "'x' is not a head"),
        ("outliers", {"head": "L1.H1", "model": "none/x"}, "no model 'none/x'"),
    ],
)
def test_bad_values_are_said_in_a_line(built: Built, query: str, values: dict[str, object], problem: str) -> None:
    with clipdb.open(built.path) as db, pytest.raises(ClipdbError) as caught:
        getattr(db.query, query)(**values).fetchall()
    assert problem in str(caught.value) and "\n" not in str(caught.value)


def test_without_spans_the_command_is_named(tmp_path: Path) -> None:
    copy = build(tmp_path / "copy.clipdb")
    with catalog.changing(copy.path) as connection:
        connection.execute("delete from spans")
    with clipdb.open(copy.path) as db, pytest.raises(ClipdbError, match=r"L1\.H1 has no spans yet: run `clipdb span`"):
        db.query.activating("L1.H1", span=1)


def test_several_models_must_be_told_apart(two: Built) -> None:
    with clipdb.open(two.path) as db:
        for query in (db.query.activating, db.query.outliers):
            with pytest.raises(ClipdbError, match=r"several models: choose one with --model \(one/a, two/b\)"):
                query("L1.H1")
        assert len(db.query.outliers("L1.H1", model="two/b").fetchall()) == 10
