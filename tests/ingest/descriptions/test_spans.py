"""Spans in an index: the published procedure on the stored vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pytest
from support import MODEL, Table, change, done, refused, rows, table, verified

from clipdb import pools

SPANS = """
select rank, text, variance_explained, cumulative_variance from spans
where layer = ? and head = ? and pool = ? order by rank
"""


def published(outputs: np.ndarray, texts: np.ndarray, count: int) -> tuple[list[int], list[float]]:
    """Algorithm 1 of Gandelsman et al. (arXiv 2310.05916), on all outputs: picks, and the variance that each takes."""
    outputs, texts = outputs - outputs.mean(axis=0), texts.copy()
    first = (outputs**2).sum()
    picks, explained = [], []
    for _ in range(count):
        pick = int((outputs @ texts.T).std(axis=0).argmax())
        direction = texts[pick] / np.linalg.norm(texts[pick])
        before = (outputs**2).sum()
        outputs = outputs - np.outer(outputs @ direction, direction)
        texts = texts - np.outer(texts @ direction, direction)
        picks.append(pick)
        explained.append((before - (outputs**2).sum()) / first)
    return picks, explained


def pool_vectors(index: Path, stored: Table, pool: str, basis: np.ndarray) -> tuple[list[str], np.ndarray]:
    members = rows(
        index, "select text_id, text from pool_texts join texts using (text_id) where pool = ? order by position", pool
    )
    places = {one: row for row, one in enumerate(stored.ids)}
    return [text for _, text in members], stored["embedding"][[places[one] for one, _ in members]] @ basis


def assert_published(index: Path, pool: str, count: int = 20) -> None:
    images, texts = table(index), table(index, "texts")
    heads = rows(index, "select layer, head, basis from heads order by all")
    for layer, head, basis in heads:
        names, vectors = pool_vectors(index, texts, pool, np.array(basis, np.float64).reshape(128, 32))
        picks, explained = published(images[f"l{layer}h{head}"], vectors, count)
        found = rows(index, SPANS, layer, head, pool)
        assert [one[:2] for one in found] == [(n, names[pick]) for n, pick in enumerate(picks, start=1)]
        np.testing.assert_allclose([one[2] for one in found], explained, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose([one[3] for one in found], np.cumsum(explained), rtol=1e-6, atol=1e-9)


def test_spans_are_the_published_procedures(ready_index: Path) -> None:
    assert rows(ready_index, "select count(*), count(distinct (layer, head)) from spans") == [(24 * 20, 24)]
    assert_published(ready_index, "scenes")


def stored_rows(index: Path) -> Any:
    """Vectors of images in the order in which they lie."""
    version = rows(index, "select max(lance_version) from batches where kind = 'images'")[0][0]
    return lance.dataset(
        str(index / "vectors" / f"{MODEL.replace('/', '__')}.images.lance"), version=version
    ).to_table()


def test_stability_is_in_how_many_halves_of_the_images_a_span_is_found(ready_index: Path) -> None:
    texts, images = table(ready_index, "texts"), stored_rows(ready_index)
    seen = set()
    for layer, head, basis in rows(ready_index, "select layer, head, basis from heads order by all"):
        names, vectors = pool_vectors(ready_index, texts, "scenes", np.array(basis, np.float64).reshape(128, 32))
        outputs = np.array(images.column(f"l{layer}h{head}").to_pylist(), np.float64)
        halves = [[names[pick] for pick in published(outputs[start::2], vectors, 5)[0]] for start in (0, 1)]
        found = rows(
            ready_index, "select text, stability from spans where layer = ? and head = ? order by rank", layer, head
        )
        assert found[:5] == [(text, sum(text in half for half in halves) / 2) for text, _ in found[:5]]
        assert {stability for _, stability in found[5:]} == {None}
        seen |= {stability for _, stability in found[:5]}
    assert seen == {0, 0.5, 1}


def test_info_says_where_spans_depend_on_the_images_at_hand(own_index: Path) -> None:
    assert "first five spans" not in done("info", "-i", own_index)
    change(own_index, "update spans set stability = if(rank <= 2, .5, 0) where rank <= 5")
    said = [row["note"] for row in json.loads(done("info", "-i", own_index, "-f", "json")) if row["what"] == "spans"]
    assert said == [
        "of the first five spans only 0.20 are found over half of the images as well: take more images, "
        f"and see `clipdb query settled -i {own_index}`"
    ]


def test_a_pool_of_ones_own_beside_another(own_index: Path, tmp_path: Path) -> None:
    texts = [one.text for one in pools.load("scenes")[::9]]
    (tmp_path / "mine.txt").write_text("\n".join([*texts, "a heron", "a kettle"]))
    done("ingest", "texts", tmp_path / "mine.txt", "--pool", "mine", "-i", own_index)
    before = rows(own_index, "from spans where pool = 'scenes' order by all")
    assert f"{MODEL}: 24 heads spanned from the pool mine" in done(
        "span", "--pool", "mine", "--count", 7, "-i", own_index
    )
    assert_published(own_index, "mine", 7)
    assert rows(own_index, "from spans where pool = 'scenes' order by all") == before
    verified(own_index)


def test_a_pool_smaller_than_the_count_is_picked_to_its_end(own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "three.txt").write_text("a heron\na kettle\nsomething red\n")
    done("ingest", "texts", tmp_path / "three.txt", "--pool", "three", "-i", own_index)
    done("span", "--pool", "three", "-i", own_index)
    assert_published(own_index, "three", 3)


def test_spans_of_more_images_replace_the_old(
    some: Callable[[slice], Path], scenes: Path, model: tuple, tmp_path: Path
) -> None:
    index = tmp_path / "grown.clipdb"
    done("ingest", "images", some(slice(0, 120)), *model, "--workers", 0, "-i", index)
    done("span", "--pool", "scenes", "-i", index)
    old, [(run,)] = rows(index, "from spans order by all"), rows(index, "select distinct run from spans")
    done("ingest", "images", scenes, *model, "--workers", 0, "-i", index)
    assert rows(index, "from spans order by all") == old
    done("span", "--pool", "scenes", "-i", index)
    assert_published(index, "scenes")
    assert rows(index, "select count(distinct run), min(run) > ? from spans", run) == [(1, True)]


def test_an_unknown_pool_or_model(own_index: Path) -> None:
    line = refused("span", "--pool", "nothing", "-i", own_index)
    advice = f"run `clipdb ingest texts FILE --pool nothing -i {own_index}`"
    assert line == f"no pool 'nothing' in {own_index} (it has scenes): {advice}"
    line = refused("span", "--pool", "scenes", "--model", "a/b", "-i", own_index)
    assert line == f"{own_index} has no images of model a/b: it has {MODEL}"


def test_an_index_without_images(tmp_path: Path) -> None:
    index = tmp_path / "texts.clipdb"
    done("ingest", "texts", "--pool", "scenes", "-i", index)
    assert "has no images yet" in refused("span", "--pool", "scenes", "-i", index)


@pytest.mark.parametrize("count", [1, 40])
def test_any_number_of_spans(count: int, own_index: Path) -> None:
    """More than the head has directions: it stops where nothing is left."""
    done("span", "--pool", "scenes", "--count", count, "-i", own_index)
    found = rows(own_index, "select max(rank), max(cumulative_variance) from spans group by layer, head")
    assert all(rank == min(count, 32) for rank, _ in found)
    assert all(so_far <= 1 + 1e-9 for _, so_far in found)
    if count == 40:
        assert all(so_far == pytest.approx(1) for _, so_far in found)


def test_an_interrupted_span_keeps_the_old(own_index: Path) -> None:
    """A model that can't be spanned leaves what is there."""
    before = rows(own_index, "from spans order by all")
    gone = "update runs set arguments = replace(arguments::varchar, 'random.safetensors', 'gone.safetensors')"
    change(own_index, gone)
    assert "gone.safetensors" in refused("span", "--pool", "general", "-i", own_index)
    assert rows(own_index, "from spans order by all") == before
