"""Comparisons of heads that are stored: those of the definitions, and no older than the vectors."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from built_index import HEADS, LAYERS, Built
from plain_pairs import cka, distance, explained, overlap
from support import change

import clipdb
from clipdb._util.stages import untold
from clipdb.ingest.descriptions.head_pairs import refresh_pairs
from clipdb.ingest.store.writer import Writer
from clipdb.models import head_similarity

EVERY = list(product(LAYERS, range(HEADS)))
PAIRS = "select * exclude run from head_pairs order by all"


@pytest.fixture
def stored(two: Built, tmp_path: Path) -> Built:
    """Two models over the same images, the second a fine-tune of the first, with their pairs stored."""
    path = tmp_path / "stored.clipdb"
    shutil.copytree(two.path, path, symlinks=True)
    change(path, "update models set base = 'one/a' where model_id = 'two/b'")
    refresh(path)
    return Built(path, two.ids, two.vectors, two.files)


def refresh(path: Path, *models: str) -> None:
    with Writer(path, "span", {}) as writer:
        refresh_pairs(writer, models or writer.models(), untold)


def ask(path: Path, sql: str) -> list[tuple]:
    with clipdb.open(path) as db:
        return db.sql(sql).fetchall()


def test_all_pairs_are_those_of_the_definitions(stored: Built) -> None:
    found = {
        (row[0], row[1:3], row[3], row[4:6]): row[6:]
        for row in ask(
            stored.path,
            "select model_id, layer, head, other_model, other_layer, other_head, overlap, cka, explained, "
            "explained_other, distance, images, sample from head_pairs",
        )
    }
    bases = {
        (model, (layer, head)): np.reshape(basis, (8, 4))
        for model, layer, head, basis in ask(stored.path, "select model_id, layer, head, basis from heads")
    }
    assert len(found) == 12 * 11  # every head with every other, of both models
    for (model, head, other_model, other), values in found.items():
        x, y = stored.vectors[(model, *head)], stored.vectors[(other_model, *other)]
        there = ~np.isnan(x[:, 0] + y[:, 0])
        x, y = x[there], y[there]
        q_x, q_y = bases[model, head], bases[other_model, other]
        expected = [overlap(q_x, q_y), cka(x, y), explained(x, y), explained(y, x), distance(x, y, q_x, q_y)]
        np.testing.assert_allclose(values[:5], expected, atol=1e-5)
        assert values[5:] == (38 if 1 in (head[0], other[0]) else 40, 10_000)


def test_what_is_stored_is_what_is_computed_otherwise(stored: Built) -> None:
    questions = ("from alike('one/a')", "from match_heads('one/a', 'two/b')", "from match_heads('two/b', 'one/a')")
    before = [ask(stored.path, f"{question} order by all") for question in questions]
    change(stored.path, "update head_pairs set cka = cka + 1")
    assert all(row[3] > 1 for row in ask(stored.path, "from alike('one/a')"))  # so it is read from there
    change(stored.path, "delete from head_pairs")
    for question, rows in zip(questions, before, strict=True):
        again = ask(stored.path, f"{question} order by all")
        texts = [[cell for cell in row if isinstance(cell, str)] for row in rows]
        assert [[cell for cell in row if isinstance(cell, str)] for row in again] == texts
        numbers = [[[cell for cell in row if not isinstance(cell, str)] for row in some] for some in (rows, again)]
        np.testing.assert_allclose(*numbers, atol=1e-6)


def test_only_what_is_stale_is_computed_again(stored: Built) -> None:
    runs = "select distinct model_id, other_model, run from head_pairs order by all"
    before, rows = ask(stored.path, runs), ask(stored.path, PAIRS)
    refresh(stored.path)
    assert ask(stored.path, runs) == before and len(before) == 4
    # As an ingest of more images of one model would leave it.
    change(stored.path, "update batches set run = run || 'x' where model_id = 'two/b' and kind = 'images'")
    change(stored.path, "update head_pairs set cka = 7")
    answer = dict(((row[0], row[1]), row[3]) for row in ask(stored.path, "from alike('two/b')"))
    assert all(value <= 1 for value in answer.values())  # what is stale is not read
    refresh(stored.path, "two/b")
    again = ask(stored.path, runs)
    assert [new == old for new, old in zip(again, before, strict=True)] == [True, False, False, False]
    fresh = (
        "select * exclude (run, vectors) from head_pairs where other_model = 'two/b' or model_id = 'two/b' order by all"
    )
    now = ask(stored.path, fresh)
    kept = [row[:-1] for row in rows if "two/b" in (row[0], row[3])]
    assert now == kept


def test_spaces_count_as_one_only_where_a_base_is_recorded(stored: Built) -> None:
    between = "select count(overlap), count(distance), count(cka) from head_pairs where model_id <> other_model"
    assert ask(stored.path, between) == [(72, 72, 72)]
    change(stored.path, "update models set base = null")
    assert {row[4] for row in ask(stored.path, "from match_heads('one/a', 'two/b')")} == {None}
    refresh(stored.path)
    assert ask(stored.path, between) == [(0, 0, 72)]
    change(stored.path, "update models set base = 'third/c'")  # both of one, which is not here
    refresh(stored.path)
    assert ask(stored.path, between) == [(72, 72, 72)]


def test_blocks_of_any_size_give_the_same(stored: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ask(stored.path, PAIRS)
    for most in (1, 4):
        monkeypatch.setattr(head_similarity, "VECTOR_BYTES", most * 2 * 40 * 4 * 4)
        change(stored.path, "delete from head_pairs")
        refresh(stored.path)
        again = ask(stored.path, PAIRS)
        assert [row[:6] for row in again] == [row[:6] for row in before]
        np.testing.assert_allclose([row[6:13] for row in again], [row[6:13] for row in before], atol=1e-6)


def test_models_without_images_in_common(tmp_path: Path, two: Built) -> None:
    path = tmp_path / "apart.clipdb"
    shutil.copytree(two.path, path, symlinks=True)
    replace_ids(path, "two/b")
    refresh(path)
    apart = "select distinct images, cka from head_pairs where model_id <> other_model"
    assert ask(path, apart) == [(0, None)]


def replace_ids(path: Path, model: str) -> None:
    """Give the images of a model other ids."""
    import lance
    import pyarrow as pa

    from clipdb.schema.vectors import images_path

    place = str(images_path(path, model))
    table = lance.dataset(place).to_table()
    ids = pa.array([one[::-1] for one in table.column("image_id").to_pylist()])
    version = lance.write_dataset(table.set_column(0, "image_id", ids), place, mode="overwrite").version
    change(path, "update batches set lance_version = ? where model_id = ? and kind = 'images'", version, model)
