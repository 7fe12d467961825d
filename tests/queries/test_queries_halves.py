"""Vectors that don't fit into memory in float32 are kept in float16, and every answer stays what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest
from built_index import Built, build
from support import change

import clipdb
from clipdb.queries.vectors.cache import VectorStore
from clipdb.queries.vectors.halves import Halves
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_path


def test_every_number_of_float16_is_read_exactly() -> None:
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 64)
    finite = numbers[np.isfinite(numbers).all(axis=1)]
    assert len(finite) == 2 * 31 * 16 and not np.isfinite(numbers).all()  # of each sign, all exponents but the last
    for values in (numbers, finite):
        read = Halves(values)[:]
        assert read.dtype == np.float32
        assert np.array_equal(read.view(np.uint32), values.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize("rows", [0, 1, 4096, 10_001, 70_001])
def test_it_computes_as_float32_does(rows: int) -> None:
    rng = np.random.default_rng(rows)
    values = rng.standard_normal((rows, 24)).astype(np.float16)
    plain, halves = values.astype(np.float32), Halves(values)
    assert (len(halves), halves.shape, halves.nbytes) == (rows, values.shape, 48 * rows)
    for other in (rng.standard_normal(24), rng.standard_normal((24, 3))):
        other = other.astype(np.float32)
        assert np.allclose(halves @ other, plain @ other, atol=1e-5)
    unit = rng.standard_normal(24).astype(np.float32)
    unit /= np.linalg.norm(unit)
    assert np.allclose(halves.near_products(unit), plain @ unit, atol=1e-5)
    some = rng.integers(0, rows, 7) if rows else np.empty(0, int)
    for place in (slice(1, 9), some, (slice(None), 0), (some, 3)):
        assert np.array_equal(halves[place], plain[place])


@pytest.mark.parametrize("length", [64, 7])
def test_ids_ascend_even_where_many_begin_alike(length: int, tmp_path: Path) -> None:
    made = build(tmp_path / "ids.clipdb")
    ids = [f"{'ab' * 4}{number:02}".ljust(length, "c")[-length:] for number in range(len(made.ids), 0, -1)]
    table = lance.dataset(str(images_path(made.path, "one/a"))).to_table()
    renamed = table.set_column(0, "image_id", pa.array(ids))
    version = lance.write_dataset(renamed, str(images_path(made.path, "one/a")), mode="overwrite").version
    change(made.path, "update batches set lance_version = ? where kind = 'images'", version)
    with clipdb.open(made.path) as db:
        store = db.context.store
        assert store.ids("one/a", "images").tolist() == sorted(one.encode() for one in ids)
        assert np.array_equal(store.head("one/a", "images", (2, 0))[0], made.vectors["one/a", 2, 0][-1])
        assert store.position("one/a", "images", ids[3]) == len(ids) - 4


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("halves") / "halves.clipdb", seed=5)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("neighbours", {"head": "L2.H0", "image": 3}),
        ("neighbours", {"head": "L1.H0", "image": 3, "measure": "centred"}),
        ("property_neighbours", {"image": 3, "like": "colour", "unlike": "shape"}),
        ("property_neighbours", {"image": 3, "like": "colour", "space": "heads"}),
        ("embedding_neighbours", {"image": 3}),
        ("activating", {"head": "L1.H1"}),
        ("outliers", {"head": "L2.H1"}),
        ("alike", {"head": "L2.H0"}),
        ("alike", {"images": 0}),
        ("search_precision", {"property": "colour", "target": "label", "k": 2}),
    ],
)
def test_answers_stay_the_same(index: Built, function: str, arguments: dict[str, Any]) -> None:
    given = {name: index.ids[value] if name == "image" else value for name, value in arguments.items()}
    with clipdb.open(index.path) as ample, clipdb.open(index.path) as short:
        short.cache_bytes = 1
        assert isinstance(short.context.store.head("one/a", "images", (1, 0)), Halves)
        expected, found = ample.rows(function, **given), short.rows(function, **given)
    assert len(found) == len(expected) > 0
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            assert value == (pytest.approx(other[name], abs=1e-5) if isinstance(value, float) else other[name]), name


def test_images_that_rounding_makes_alike_are_ranked_by_what_is_stored(tmp_path: Path) -> None:
    made, rng = build(tmp_path / "close.clipdb"), np.random.default_rng(6)
    heads = [(1, 0), (1, 1), (2, 0)]  # which are called a colour, and have 12 numbers beside 8 of the joint space
    table = lance.dataset(str(images_path(made.path, "one/a"))).to_table()
    for head in heads:
        close = (rng.normal(size=4) + 0.02 * rng.normal(size=(len(made.ids), 4))).astype(np.float16)
        made.vectors["one/a", *head] = close.astype(np.float64)
        place = table.schema.names.index(head_column(*head))
        table = table.set_column(place, table.schema.field(place), pa.array(list(close), table.schema.types[place]))
    version = lance.write_dataset(table, str(images_path(made.path, "one/a")), mode="overwrite").version
    change(made.path, "update batches set lance_version = ? where kind = 'images'", version)
    with clipdb.open(made.path) as db:
        bases = {head: db.context.heads("one/a").bases[head].astype(np.float64) for head in heads}
        joint = sum(made.vectors["one/a", *head] @ bases[head].T for head in heads)
        units = joint / np.linalg.norm(joint, axis=1, keepdims=True)
        rounded = units.astype(np.float16).astype(np.float64)
        mistaken = 0
        for row in range(20):
            cosines, near = units @ units[row], rounded @ units[row]
            expected = [one for one in np.argsort(-cosines) if one != row][:5]
            found = db.rows("property_neighbours", image=made.ids[row], like="colour", k=5)
            assert [one["image_id"] for one in found] == [made.ids[one] for one in expected]
            assert [one["score"] for one in found] == pytest.approx(cosines[expected], abs=1e-6)
            mistaken += [one for one in np.argsort(-near) if one != row][:5] != expected
        assert mistaken > 10  # what the rounded vectors alone would say


@pytest.mark.parametrize("rows", [[3], [0, -1], list(range(7, 2, -1)), None])
def test_blocks_that_are_read_are_those_that_are_kept(rows: list[int] | None, index: Built) -> None:
    heads = [(2, 1), (2, 0)]
    with clipdb.open(index.path) as db, clipdb.open(index.path) as short:
        short.cache_bytes = 1
        kept, read = db.context.store, short.context.store
        places = np.arange(len(index.ids))[rows] if rows else read.in_table_order("one/a", np.arange(len(index.ids)))
        expected = {head: kept.head("one/a", "images", head)[places] for head in heads}
        for store in (kept, read):
            found = store.block("one/a", heads, places)
            assert all(np.array_equal(found[head], expected[head]) for head in heads)
            assert {one.dtype for one in found.values()} == {np.dtype(np.float32)}
        assert read.kept_bytes == 0


def test_heads_that_are_read_together_take_the_room_of_those_used_longest_ago(index: Built) -> None:
    with clipdb.open(index.path) as db:
        one = db.context.store.head("one/a", "images", (2, 0)).nbytes // 2  # in float16
        small = VectorStore(db.vectors, cache_bytes=3 * one)
        small.head("one/a", "images", (1, 0))
        kept = small.head("one/a", "images", (2, 0))
        heads = [(2, 0), (2, 1), (2, 2)]
        found = small.together("one/a", heads)
        assert small.kept_bytes == 3 * one and found[0] is kept
        for head, matrix in zip(heads, found, strict=True):
            assert np.array_equal(matrix[:], index.vectors["one/a", *head][np.argsort(index.ids)])
            assert small.head("one/a", "images", head) is matrix
