from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipdb._util.textspan import textspan
from clipdb.ingest.store.moments import Moments


def published(outputs: np.ndarray, pool: np.ndarray, count: int) -> tuple[list[int], list[float]]:
    """TEXTSPAN as published: the largest std of projections over all images, then deflation of both."""
    y, a = outputs - outputs.mean(axis=0), pool.copy()
    total = y.var(axis=0).sum()
    picks, explained = [], []
    for _ in range(count):
        spread = (a @ y.T).std(axis=1)
        pick = int(spread.argmax())
        direction = a[pick] / np.linalg.norm(a[pick])
        picks.append(pick)
        explained.append(float((y @ direction).var() / total))
        y = y - np.outer(y @ direction, direction)
        a = a - np.outer(a @ direction, direction)
    return picks, explained


@st.composite
def heads(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    k = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    outputs = rng.normal(size=(draw(st.integers(2 * k, 80)), k)) * rng.exponential(size=k) + rng.normal(size=k)
    pool = rng.normal(size=(draw(st.integers(k, 60)), k))
    return outputs, pool, draw(st.integers(1, k - 1))


@given(heads())
@settings(deadline=None, max_examples=150)
def test_picks_and_variances_are_those_of_the_published_procedure(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    outputs, pool, count = case
    ours = textspan(Moments.of(outputs).covariance, pool, count)
    picks, explained = published(outputs, pool, count)
    assert ours.rows.tolist() == picks
    assert np.allclose(ours.variance_explained, explained, rtol=1e-6, atol=1e-9)


@given(heads())
@settings(deadline=None, max_examples=50)
def test_the_picks_explain_all_variance_once_they_span_the_head(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    outputs, pool, _ = case
    ours = textspan(Moments.of(outputs).covariance, pool, 1000)
    assert len(ours.rows) <= outputs.shape[1]
    assert ours.variance_explained.sum() == pytest.approx(1.0, abs=1e-6)
    assert len(set(ours.rows.tolist())) == len(ours.rows)


def test_at_twenty_thousand_images_all_twenty_picks_agree() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(20_000, 64)) * np.linspace(2, 0.1, 64)
    pool = rng.normal(size=(500, 64))
    assert textspan(Moments.of(outputs).covariance, pool, 20).rows.tolist() == published(outputs, pool, 20)[0]


def test_head_space_picks_what_the_joint_space_of_the_same_rank_does() -> None:
    rng = np.random.default_rng(3)
    q = np.linalg.qr(rng.normal(size=(96, 16)))[0]
    y = rng.normal(size=(400, 16)) * np.linspace(1, 0.05, 16)
    texts = rng.normal(size=(200, 96))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    contributions = y @ q.T
    # The published code projects texts on the leading right singular vectors of the outputs first.
    span = np.linalg.svd(contributions - contributions.mean(axis=0), full_matrices=False)[2][:16]
    picks, _ = published(contributions, texts @ span.T @ span, 10)
    assert textspan(Moments.of(y).covariance, texts @ q, 10).rows.tolist() == picks


def test_zero_columns_of_a_basis_change_nothing() -> None:
    rng = np.random.default_rng(1)
    y, pool = rng.normal(size=(100, 5)), rng.normal(size=(30, 5))
    padded = textspan(
        Moments.of(np.pad(y, ((0, 0), (0, 3)))).covariance, np.pad(pool, ((0, 0), (0, 3))), 5
    )  # fmt: skip
    assert padded.rows.tolist() == textspan(Moments.of(y).covariance, pool, 5).rows.tolist()


def test_ties_go_to_the_first_of_the_pool() -> None:
    pool = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert textspan(np.diag([2.0, 1.0]), pool, 4).rows.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("covariance", "pool"),
    [(np.zeros((3, 3)), np.eye(3)), (np.eye(3), np.zeros((2, 3))), (np.eye(3), np.empty((0, 3)))],
    ids=["no variance", "no direction", "no texts"],
)
def test_nothing_to_pick(covariance: np.ndarray, pool: np.ndarray) -> None:
    assert len(textspan(covariance, pool, 5).rows) == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 49))
@settings(deadline=None, max_examples=30)
def test_moments_of_shards_add_up(seed: int, cut: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(50, 6)) + 3
    merged = Moments.of(vectors[:cut]) + Moments.of(vectors[cut:])
    assert merged.count == 50
    assert np.allclose(merged.mean, vectors.mean(axis=0), rtol=1e-12)
    assert np.allclose(merged.covariance, np.cov(vectors.T, bias=True), rtol=1e-9, atol=1e-12)


def test_effective_rank_counts_equal_directions() -> None:
    signs = np.array([[i >> b & 1 for b in range(3)] for i in range(8)]) * 2.0 - 1.0
    assert Moments.of(np.pad(signs, ((0, 0), (0, 5)))).effective_rank == pytest.approx(3.0)
    assert Moments.of(np.ones((4, 3))).effective_rank == 0.0
