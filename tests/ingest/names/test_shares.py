"""Shares of a head's variance between groups of images, on made-up vectors: against loops and against permutations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest
from plain_shares import merged, nearest, share_of

from clipdb._util.kinds_of_descriptions import kinds_of_descriptions
from clipdb.ingest.names import shares, zero_shot_groups
from clipdb.ingest.names.shares import head_shares
from clipdb.ingest.names.zero_shot_groups import Groups, group_images
from clipdb.ingest.store.vector_arrays import vector_column

N, D, K = 500, 12, 5


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write(path: Path, embedding: np.ndarray, heads: dict[str, np.ndarray]) -> Any:
    """Write a table of images; rows of a head that are NaN are null."""
    columns = {"embedding": vector_column(embedding)}
    for name, rows in heads.items():
        cells = [None if np.isnan(row).any() else row.astype(np.float16).tolist() for row in rows]
        columns[name] = pa.array(cells, pa.list_(pa.float16(), rows.shape[1]))
    return lance.write_dataset(pa.table(columns), str(path))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def texts(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two templates a word; the words of a property share a direction that is no word's."""
    found = {}
    for name, words in {"colour": 6, "shape": 3, "count": 2}.items():
        word, common = rng.normal(size=(words, 1, D)), 2 * rng.normal(size=D)
        found[name] = unit((word + common + 0.2 * rng.normal(size=(words, 2, D))).reshape(-1, D))
    return found


@pytest.fixture
def heads(rng: np.random.Generator) -> dict[str, np.ndarray]:
    found = {f"l{layer}h{head}": rng.normal(size=(N, K + layer)) + 3 for layer in (0, 2) for head in (0, 1)}
    return {name: rows.astype(np.float16).astype(np.float64) for name, rows in found.items()}


def test_templates_of_a_word_are_one_kind(texts: dict[str, np.ndarray]) -> None:
    assert [len(kinds_of_descriptions(rows)) for rows in texts.values()] == [6, 3, 2]
    for rows in texts.values():
        np.testing.assert_allclose(kinds_of_descriptions(rows), merged(rows), atol=1e-12)


def test_kinds_of_random_descriptions_are_those_of_the_loops(rng: np.random.Generator) -> None:
    for spread in (0.3, 0.6, 1.0):
        rows = unit(rng.normal(size=(8, D)).repeat(5, axis=0) + spread * rng.normal(size=(40, D)))
        np.testing.assert_allclose(kinds_of_descriptions(rows), merged(rows), atol=1e-12)


def test_one_description_and_equal_ones_have_nothing_to_tell_apart(rng: np.random.Generator) -> None:
    one = unit(rng.normal(size=(1, D)))
    assert kinds_of_descriptions(one).shape == (0, D)
    assert kinds_of_descriptions(np.repeat(one, 3, axis=0)).shape == (0, D)
    two = unit(rng.normal(size=(2, D)))
    np.testing.assert_allclose(kinds_of_descriptions(two), unit(two - two.mean(axis=0)))


@pytest.mark.parametrize("at_once", [8192, 64, 7])
def test_shares_are_those_of_the_loops(
    tmp_path: Path,
    rng: np.random.Generator,
    texts: dict[str, np.ndarray],
    heads: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    monkeypatch.setattr(shares, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(zero_shot_groups, "ROWS_AT_ONCE", at_once)
    embedding = unit(rng.normal(size=(N, D))).astype(np.float16)
    heads["l2h1"][::3] = np.nan  # images that came before the layer was added
    heads["l0h1"][:, :3] += 4.0 * (embedding[:, :1] > 0)
    heads["l0h1"] = heads["l0h1"].astype(np.float16).astype(np.float64)
    dataset = write(tmp_path / "images.lance", embedding, heads)
    kinds = {name: kinds_of_descriptions(rows) for name, rows in texts.items()}
    groups = group_images(dataset, kinds)
    for place, rows in enumerate(kinds.values()):
        assert groups.members[:, place].tolist() == nearest(embedding.astype(np.float64), rows)
    found = head_shares(dataset, groups)
    assert list(found) == [(0, 0), (0, 1), (2, 0), (2, 1)]
    for (layer, head), measured in found.items():
        vectors = heads[f"l{layer}h{head}"]
        there = ~np.isnan(vectors).any(axis=1)
        for place, share in enumerate(measured):
            expected = share_of(vectors[there], groups.members[there, place])
            assert (share.property, share.share) == (list(texts)[place], pytest.approx(expected, abs=1e-6))


@pytest.mark.parametrize("sizes", [[250, 250], [480, 10, 10], [50] * 10, [3] * 160 + [20]])
def test_chance_is_what_a_twentieth_of_the_permutations_exceed(
    tmp_path: Path, rng: np.random.Generator, heads: dict[str, np.ndarray], sizes: list[int]
) -> None:
    heads["l0h0"] = heads["l0h0"] ** 3  # a few images far out
    dataset = write(tmp_path / "images.lance", unit(rng.normal(size=(N, D))), heads)
    members = np.repeat(np.arange(len(sizes)), sizes)
    found = head_shares(dataset, Groups(("p",), (len(sizes),), members[:, None]))
    for (layer, head), (share,) in found.items():
        vectors = dataset.to_table().column(f"l{layer}h{head}").to_pylist()
        centred = np.array(vectors, np.float64) - np.mean(vectors, axis=0)
        one_hot = np.eye(len(sizes))[members]
        eta = []
        for _ in range(1000):
            sums = one_hot.T @ centred[rng.permutation(N)]
            eta.append((np.square(sums).sum(axis=1) / sizes).sum() / np.square(centred).sum())
        adjusted = 1 - (1 - np.array(eta)) * (N - 1) / (N - len(sizes))
        assert abs(adjusted.mean()) < 0.2 * adjusted.std()
        assert share.chance is not None
        assert 0.03 < (adjusted > share.chance).mean() < 0.075


def test_what_can_not_be_measured_is_left_out(tmp_path: Path, rng: np.random.Generator) -> None:
    same, none = np.full((9, K), 0.1), np.full((9, K), np.nan)
    few = none.copy()
    few[:3] = rng.normal(size=(3, K))
    dataset = write(tmp_path / "i.lance", unit(rng.normal(size=(9, D))), {"l0h0": same, "l0h1": none, "l0h2": few})
    members = np.array([[0, 0], [1, 0], [2, 1], *[[3, 1]] * 6])
    found = head_shares(dataset, Groups(("four", "two"), (4, 2), members))
    assert (found[0, 0], sorted(found)) == ([], [(0, 0), (0, 2)])
    assert [(share.property, share.chance) for share in found[0, 2]] == [("two", None)]
    # Groups that no image is in count for nothing, and one group explains nothing.
    dataset = write(tmp_path / "j.lance", unit(rng.normal(size=(9, D))), {"l0h0": rng.normal(size=(9, K))})
    many = head_shares(dataset, Groups(("few of many", "one"), (99, 5), np.array([[7, 3], *[[70, 3]] * 8])))[0, 0]
    two = head_shares(dataset, Groups(("two", "one"), (2, 1), np.array([[0, 0], *[[1, 0]] * 8])))[0, 0]
    assert [share.share for share in many] == [share.share for share in two] and many[1].share == many[1].chance == 0
