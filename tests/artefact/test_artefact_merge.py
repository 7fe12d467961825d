"""Two shards of one model's images in one index: as if all had been ingested there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from artefacts import export
from support import assert_same_vectors, clipdb, done, refused, rows, table, verified

ONE_BY_ONE = ("--batch-size", 1, "--workers", 0)  # so that an image's bits don't depend on its batch
STATISTICS = "select layer, head, total_variance, effective_rank, mean from heads order by all"
SPANS = "select layer, head, rank, text, variance_explained, cumulative_variance from spans order by all"


@pytest.fixture(scope="module")
def union(pictures: list[Path], model: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spanned(tmp_path_factory.mktemp("union") / "union.clipdb", pictures[:120], model)


@pytest.fixture(scope="module")
def shards(pictures: list[Path], model: tuple, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three shards, the last of which has images of both others."""
    folder = tmp_path_factory.mktemp("shards")
    parts = (pictures[:50], pictures[50:120], pictures[30:70])
    return [export(spanned(folder / f"{n}.clipdb", part, model), folder / f"shard {n}") for n, part in enumerate(parts)]


def spanned(index: Path, pictures: list[Path], model: tuple) -> Path:
    done("ingest", "images", *pictures, *model, *ONE_BY_ONE, "-i", index)
    done("span", "--pool", "scenes", "--device", "cpu", "-i", index)
    return index


@pytest.mark.parametrize("order", [(0, 1), (1, 2, 0), (2, 0, 1, 2)])
def test_merged_shards_are_the_index_of_all_images(
    order: tuple[int, ...], shards: list[Path], union: Path, tmp_path: Path
) -> None:
    index = tmp_path / "merged.clipdb"
    for place, number in enumerate(order):
        result = clipdb("import", shards[number], "-i", index)
        assert result.exit_code == 0, result.output
        old = "older than the images" in done("info", "-i", index)
        assert old == (place > 0)
        assert ("run `clipdb span -i" in result.stderr) == (0 < place < 3)
    assert_same_vectors(table(index), table(union))
    assert_same_vectors(table(index, "texts"), table(union, "texts"))
    for (*head, total, rank, mean), (*other, all_total, all_rank, all_mean) in zip(
        rows(index, STATISTICS), rows(union, STATISTICS), strict=True
    ):
        assert head == other
        np.testing.assert_allclose([total, rank], [all_total, all_rank], rtol=1e-9)
        np.testing.assert_allclose(mean, all_mean, rtol=1e-5, atol=1e-8)
    done("span", "--pool", "scenes", "-i", index)
    assert "older" not in done("info", "-i", index)
    found, expected = rows(index, SPANS), rows(union, SPANS)
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    np.testing.assert_allclose([row[4:] for row in found], [row[4:] for row in expected], rtol=1e-9)
    verified(index)


def test_a_shard_of_other_weights_is_refused(
    shards: list[Path], pictures: list[Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from support import MODEL, random_weights

    weights = random_weights(tmp_path / "others.safetensors", seed=4)
    index = tmp_path / "others.clipdb"
    done("ingest", "images", *pictures[:3], "--model", MODEL, "--checkpoint", weights, "--workers", 0, "-i", index)
    before = rows(index, "from batches"), rows(index, "from images")
    assert "other weights" in refused("import", shards[0], "--prefer", "theirs", "-i", index)
    assert (rows(index, "from batches"), rows(index, "from images")) == before


def test_an_ingest_goes_on_after_a_merge(
    shards: list[Path], pictures: list[Path], model: tuple, union: Path, tmp_path: Path
) -> None:
    index = tmp_path / "merged.clipdb"
    done("import", shards[0], "-i", index)
    assert "added 70, skipped 50" in done("ingest", "images", *pictures[:120], *model, *ONE_BY_ONE, "-i", index)
    assert_same_vectors(table(index), table(union))
    verified(index)
