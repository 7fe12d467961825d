"""Directions inside heads, from weights and from vectors, and the texts that they are made of."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch
from random_towers import Network
from support import done, refused, rows
from towers import small_clip
from traced import small
from transformers_models import small_model

import clipdb
from clipdb import demo
from clipdb._util.sparse_code import centred, sparse_code
from clipdb.models.hugging_face.network import Network as TransformersNetwork
from clipdb.models.singular_directions import singular_directions
from clipdb.models.towers import adapt

COUNT = 24


def plain_map(block: Any, value: torch.Tensor, norm: Any, written: np.ndarray, head: int, size: int) -> np.ndarray:
    """A head's map from the standardised stream to the joint space, ``[D, d]``, one matrix after another."""
    one = value[head * size : (head + 1) * size].double()
    width = one.shape[1]
    centre = torch.eye(width, dtype=torch.float64) - torch.ones(width, width, dtype=torch.float64) / width
    read = one @ torch.diag(norm.weight.double()) @ centre
    return np.asarray(written @ read.numpy())


def tower(family: str) -> tuple[Any, list[tuple[Any, torch.Tensor, Any]]]:
    """An adapter, and each block with its values' weights and the norm in front."""
    if family == "open_clip":
        visual = small_clip("layer_scale").visual.requires_grad_(False)
        found = [(one, one.attn.in_proj_weight[128:192], one.ln_1) for one in visual.transformer.resblocks]
        return adapt(Network(visual), family), found
    if family == "clip":
        network = TransformersNetwork(small_model(family))
        blocks = network.visual.tower.encoder.layers
        return adapt(network, family), [(one, one.self_attn.v_proj.weight, one.layer_norm1) for one in blocks]
    visual = small(family)
    return adapt(Network(visual), family), [
        (one, one.attn.qkv.weight[128:192], one.norm1) for one in visual.trunk.blocks
    ]


@pytest.mark.parametrize("family", ["open_clip", "timm class token", "clip", "SigLIP"])
def test_directions_are_the_singular_vectors_of_the_heads_map(family: str) -> None:
    adapter, blocks = tower(family)
    size, pooled = adapter.head_dim, max(adapter.pool_heads, 1)
    found = {head: rest for head, *rest in singular_directions(adapter, [0, 1], 4)}
    assert sorted(found) == [(layer, head) for layer in (0, 1) for head in range(adapter.heads)]
    for (layer, head), (vectors, shares) in found.items():
        by_pool = adapter.output_map(layer)[head].reshape(adapter.embed_dim, pooled, size)
        whole = np.concatenate(
            [plain_map(*blocks[layer], by_pool[:, place], head, size) for place in range(pooled)], axis=1
        )
        u, strengths, _ = np.linalg.svd(whole)
        np.testing.assert_allclose(shares, strengths[:4] ** 2 / (strengths**2).sum(), rtol=1e-8)
        np.testing.assert_allclose(np.abs((vectors * u[:, :4].T).sum(axis=1)), 1, atol=1e-8)
        assert (vectors.max(axis=1) == np.abs(vectors).max(axis=1)).all()


def least_squares(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Weights of 0 or more that come closest: of all subsets, the best one whose plain solution has no negative."""
    best, least = np.zeros(columns.shape[1]), float(target @ target)
    for size in range(1, columns.shape[1] + 1):
        for some in combinations(range(columns.shape[1]), size):
            solved = np.linalg.lstsq(columns[:, some], target)[0]
            apart = float(((target - columns[:, some] @ solved) ** 2).sum())
            if (solved >= 0).all() and apart < least:
                best, least = np.zeros(columns.shape[1]), apart
                best[list(some)] = solved
    return best


def test_a_code_is_picked_greedily_with_weights_of_least_squares() -> None:
    random = np.random.default_rng(0)
    pool = random.normal(size=(60, 12))
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    directions = random.normal(size=(20, 12))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    code = sparse_code(directions, pool, 4)
    for row, direction in enumerate(directions):
        picked: list[int] = []
        left = direction
        for _ in range(4):
            scores = pool @ left
            scores[picked] = -np.inf
            picked.append(int(scores.argmax()))
            weights = least_squares(pool[picked].T, direction)
            left = direction - weights @ pool[picked]
        assert code.rows[row].tolist() == picked
        np.testing.assert_allclose(code.weights[row], weights, atol=1e-6)
        total = weights @ pool[picked]
        assert code.fits[row] == pytest.approx(total @ direction / np.linalg.norm(total), abs=1e-6)


def test_a_direction_that_no_text_points_to_has_no_code() -> None:
    code = sparse_code(np.array([[-1.0, 0.0]]), np.array([[1.0, 0.0], [0.6, 0.0]]), 5)
    assert not code.weights.any() and code.fits.tolist() == [0.0]
    assert centred(np.array([[1.0, 2.0], [1.0, 2.0]])).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("directions")
    demo.write_scenes(folder / "scenes", COUNT, 3)
    made = folder / "i.clipdb"
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    clipdb.ingest_images(made, folder / "scenes", model=demo.MODEL_ID, layers="3-4", workers=0, **options)
    for source in ("weights", "principal"):
        spanned = clipdb.span(made, pool="scenes", source=source, count=3, **options)  # type: ignore[arg-type]
        assert spanned.heads == {demo.MODEL_ID: 12}
    return made


def test_principal_directions_are_those_of_the_vectors(index: Path) -> None:
    stored = rows(
        index,
        "select direction, share, vector, stability from directions "
        "where source = 'principal' and layer = 4 and head = 2 order by direction",
    )
    with clipdb.open(index) as db:
        vectors = np.array(db.sql("select l4h2::double[] from image_vectors order by image_id").fetchall())[:, 0]
        basis = db.sql("select basis from heads where name = 'L4.H2'").fetchone()[0]
    written = vectors @ np.array(basis).reshape(-1, vectors.shape[1]).T  # in the joint space
    centre = written - written.mean(axis=0)
    _, strengths, directions = np.linalg.svd(centre, full_matrices=False)
    for (_, share, vector, stability), strength, direction in zip(stored, strengths, directions, strict=False):
        assert share == pytest.approx(strength**2 / (strengths**2).sum(), rel=1e-4)
        assert abs(np.dot(vector, direction)) == pytest.approx(1, abs=1e-4)
        assert 0 < stability <= 1 + 1e-9
    assert len(stored) == 3


def test_stability_compares_two_halves() -> None:
    """By its definition, on vectors in a plain array."""
    from clipdb.ingest.descriptions.principal_directions import _principal
    from clipdb.ingest.store.moments import Moments

    y = np.random.default_rng(1).normal(size=(200, 6)) * [5, 3, 2, 1, 1, 1]
    one, other = (_principal(Moments.of(y[half::2]).covariance, 3)[1] for half in (0, 1))
    singular = [np.linalg.svd(one[:, :n].T @ other[:, :n], compute_uv=False) for n in (1, 2, 3)]
    expected = [np.sqrt((cosines**2).mean()) for cosines in singular]
    cosines = np.square(one.T @ other)
    assert [np.sqrt(cosines[:n, :n].sum() / n) for n in (1, 2, 3)] == pytest.approx(expected)
    assert expected[0] > 0.9


def test_the_query_shows_texts_and_images_at_both_ends(index: Path) -> None:
    found = json.loads(done("query", "directions", "L4.H4", "--source", "weights", "-i", index, "-f", "json"))
    assert [row["direction"] for row in found] == [1, 2, 3]
    stored = rows(
        index,
        "select texts::varchar, vector from directions "
        "where source = 'weights' and layer = 4 and head = 4 order by direction",
    )
    with clipdb.open(index) as db:
        uris, vectors = zip(
            *db.sql("select uri, l4h4::double[] from image_vectors join images using (image_id)").fetchall(),
            strict=True,
        )
        basis = np.array(db.sql("select basis from heads where name = 'L4.H4'").fetchone()[0]).reshape(128, -1)
    for row, (texts, vector) in zip(found, stored, strict=True):
        assert row["texts"] == ", ".join(f"{one['text']} {one['weight']:.2f}" for one in json.loads(texts))
        scores = np.array(vectors) @ (basis.T @ np.array(vector))
        assert (row["highest"], row["lowest"]) == (uris[scores.argmax()], uris[scores.argmin()])
        assert 0 < row["fit"] <= 1


def test_weights_of_a_model_without_images_are_described_in_all_layers(index: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.clipdb"
    said = done("span", "--from", "weights", "--model", demo.MODEL_ID, "--pool", "scenes", "--count", "3", "-i", own)
    assert said == "clipdb-tiny/scenes: 30 heads described by directions (weights) from the pool scenes\n"
    columns = "layer, head, direction, round(share, 6), texts::varchar"
    same = f"select {columns} from directions where source = 'weights' and layer in (3, 4) order by all"
    assert rows(own, same) == rows(index, same)
    assert "heads,,30" in done("info", "-i", own, "-f", "csv")
    listed = done("query", "directions", "L0.H5", "-i", own, "-f", "csv").splitlines()
    assert len(listed) == 4
    assert all(",ok" in line for line in done("verify", "-i", own, "-f", "csv").splitlines()[1:])
    # Images that come later find their heads as they would have been.
    clipdb.ingest_images(own, index.parent / "scenes", model=demo.MODEL_ID, device="cpu", workers=0, progress=False)
    assert all(",ok" in line for line in done("verify", "-i", own, "-f", "csv").splitlines()[1:])
    assert "no directions" not in done("query", "directions", "L4.H4", "-i", own, "-f", "csv")


def test_exports_carry_directions(index: Path, tmp_path: Path) -> None:
    done("export", tmp_path / "x", "--layers", "4", "-i", index)
    done("import", tmp_path / "x", "-i", tmp_path / "new.clipdb")
    everything = "from directions where layer = 4 order by all"
    kept = rows(tmp_path / "new.clipdb", everything)
    assert kept == rows(index, everything) and len(kept) == 2 * 6 * 3
    assert rows(tmp_path / "new.clipdb", "select count(*) from directions") == [(len(kept),)]
    assert "skipped" in done("import", tmp_path / "x", "-i", tmp_path / "new.clipdb")
    asked = ("query", "directions", "L4.H1", "-f", "csv")
    assert done(*asked, "-i", tmp_path / "x") == done(*asked, "-i", index)
    with duckdb.connect() as connection:
        assert connection.execute(f"select count(*) from '{tmp_path}/x/relations/directions.parquet'").fetchone() == (
            36,
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["query", "directions", "--source", "images"], "source is 'images': it is weights or principal"),
        (["query", "directions", "--model", "no/ne"], "no model 'no/ne' in this index"),
        (["span", "--from", "principal", "--model", "no/ne"], "has no images of model no/ne"),
        (["span", "--from", "weights", "--pool", "none"], "no pool 'none'"),
    ],
)
def test_bad_input_is_one_line(index: Path, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments, "-i", index)


def test_what_cannot_be_loaded_leaves_no_index(tmp_path: Path) -> None:
    own = tmp_path / "own.clipdb"
    given = ("span", "--from", "weights", "--pool", "scenes", "-i", own)
    assert "open_clip has no architecture 'ViT-B-33'" in refused(*given, "--model", "ViT-B-33/none")
    assert not own.exists()
    assert "no index at" in refused(*given)


def test_an_index_without_directions_says_what_to_do(tmp_path: Path) -> None:
    demo.write_scenes(tmp_path / "scenes", 2, 3)
    options: dict[str, Any] = {"device": "cpu", "workers": 0, "progress": False}
    clipdb.ingest_images(tmp_path / "i.clipdb", tmp_path / "scenes", model=demo.MODEL_ID, **options)
    assert "no directions yet: run `clipdb span --from weights" in refused(
        "query", "directions", "-i", tmp_path / "i.clipdb"
    )
    given = ("span", "--from", "principal", "--pool", "scenes", "-i", tmp_path / "i.clipdb")
    assert "principal directions take 4 images, and clipdb-tiny/scenes has 2" in refused(*given)
