"""How many images names need, against both halves spanned by the published procedure, on raw vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pytest

import clipdb
from clipdb.errors import ClipdbError
from clipdb.schema.vectors import head_columns, images_path, texts_path

COUNT = 6


@pytest.fixture(scope="module")
def db(ready_index: Path) -> Iterator[clipdb.Index]:
    with clipdb.open(ready_index) as opened:
        yield opened


def ask(db: clipdb.Index, **given: Any) -> list[dict[str, Any]]:
    answer = db.query.settled(**given)
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def spans(vectors: np.ndarray, texts: np.ndarray) -> tuple[list[int], list[float]]:
    """TEXTSPAN as it was published: on the outputs themselves, a projection at a time."""
    outputs, pool = vectors - vectors.mean(axis=0), texts.copy()
    picks, variances = [], []
    for _ in range(COUNT):
        scores = np.square(outputs @ pool.T).sum(axis=0)
        picks.append(int(scores.argmax()))
        direction = pool[picks[-1]].copy()
        variances.append(scores[picks[-1]] / (direction @ direction))
        projection = np.eye(len(direction)) - np.outer(direction, direction) / (direction @ direction)
        outputs, pool = outputs @ projection, pool @ projection
    return picks, variances


def named(picks: list[int], variances: list[float], tags: list[str]) -> str:
    return max(set(tags), key=lambda tag: sum(v for row, v in zip(picks, variances, strict=True) if tags[row] == tag))


def column(dataset: lance.LanceDataset, name: str, order: np.ndarray) -> np.ndarray:
    values = dataset.to_table(columns=[name]).column(name).combine_chunks()
    return values.flatten().to_numpy().reshape(-1, values.type.list_size)[order].astype(np.float64)


def test_both_samples_are_spanned_and_named_as_by_a_plain_loop(db: clipdb.Index, ready_index: Path) -> None:
    (model,) = db.sql("select distinct model_id from heads").fetchone()
    images, texts = (lance.dataset(str(path(ready_index, model))) for path in (images_path, texts_path))
    order = np.argsort(images.to_table(columns=["image_id"]).column(0).to_pylist())
    text_ids = texts.to_table(columns=["text_id"]).column(0).to_pylist()
    pool = db.sql("select text_id, property from pool_texts where pool = 'scenes' order by position").fetchall()
    rows = np.array([text_ids.index(text) for text, _ in pool])
    found = ask(db, spans=COUNT, pairs=1)
    assert [row["images"] for row in found] == [50, 100, 150]
    for row in found:
        n = row["images"]
        agree = []
        for name in head_columns(images.schema).values():
            y, t = column(images, name, order), column(texts, name, rows)
            one, other = (spans(y[start : start + n], t) for start in (0, n))
            axes = [np.linalg.svd(y[s : s + n] - y[s : s + n].mean(axis=0))[2][:5] for s in (0, n)]
            angles = np.linalg.svd(axes[0] @ axes[1].T, compute_uv=False)
            tags = [str(tag) for _, tag in pool]
            same = named(*one, tags) == named(*other, tags), one[0][0] == other[0][0]
            agree.append((*same, len(set(one[0][:5]) & set(other[0][:5])) / 5, np.square(angles).mean()))
        expected = np.mean(agree, axis=0)
        assert [row[key] for key in ("labels", "first_span", "first_five")] == pytest.approx(expected[:3])
        assert row["subspace"] == pytest.approx(expected[3], abs=1e-4)
        assert (row["heads"], row["pairs"]) == (len(agree), 1)


def test_settled_is_every_number_of_images_from_which_on_names_agree(db: clipdb.Index) -> None:
    rows = ask(db, spans=COUNT, pairs=3)
    assert [row["pairs"] for row in rows] == [3, 1, 1]
    shares = [row["labels"] for row in rows]
    for agree in (0.01, min(shares), max(shares), 1.0):
        expected = [min(shares[place:]) >= agree for place in range(len(shares))]
        assert [row["settled"] for row in ask(db, spans=COUNT, pairs=3, agree=agree)] == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pool": "nowhere"}, "no pool 'nowhere' in this index: it has scenes"),
        ({"agree": 95}, "agree is a share: over 0, and at most 1"),
        ({"pairs": 0}, "spans and pairs are counts: 1 or more"),
        ({"spans": 0}, "spans and pairs are counts: 1 or more"),
    ],
)
def test_what_cannot_be_compared_is_said(db: clipdb.Index, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ClipdbError, match=message):
        ask(db, **given)
