"""`clipdb export`: vectors bit for bit, and the same bytes for the same index."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built_index import EMBED, NOW, RUN, Built, sha
from support import change, done, rows

from clipdb.artefact.export import vector_shards
from clipdb.artefact.format import RELATIONS, SHARD_ROWS
from clipdb.artefact.manifest import read_manifest
from clipdb.schema import catalog, creation
from clipdb.schema.vectors import images_path, images_schema

MODEL = "many/rows"


def bits(column: pa.ChunkedArray, kind: str) -> list[bytes | None]:
    """Give the bytes of each vector."""
    array = column.combine_chunks()
    numbers = array.values.to_numpy(zero_copy_only=False).astype(kind).reshape(-1, array.type.list_size)
    shift = array.offset
    return [numbers[shift + n].tobytes() if array[n].is_valid else None for n in range(len(array))]


def contents(place: Path) -> dict[str, bytes]:
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of more rows than a file has, appended in pieces of many sizes; some have no vectors of one head."""
    index = tmp_path_factory.mktemp("many") / "many.clipdb"
    creation.create(index)
    count = 2 * SHARD_ROWS + 1000
    rng = np.random.default_rng(5)
    ids = [sha(str(number)) for number in range(count)]
    schema = images_schema(EMBED, {(0, 0): 4, (0, 1): 3})
    stored = pa.table(
        [
            pa.array(ids),
            pa.array(rng.standard_normal((count, EMBED)).astype(np.float16).tolist(), schema.field("embedding").type),
            pa.array(rng.uniform(1, 9, count), pa.float32()),
            pa.array([RUN] * count),
            pa.array([0] * count, pa.int32()),
            pa.array(rng.standard_normal((count, 4)).astype(np.float16).tolist(), schema.field("l0h0").type),
            pa.array([None if n % 7 == 3 else [n % 5, -0.0, 6e-8] for n in range(count)], schema.field("l0h1").type),
        ],
        schema=schema,
    )
    path, first = str(images_path(index, MODEL)), 0
    for size in (1, 100, SHARD_ROWS - 50, 3000, count):
        dataset = lance.write_dataset(stored.slice(first, size), path, mode="append" if first else "create")
        first += size
    with catalog.changing(index) as connection:
        places = pa.table({"image_id": ids, "uri": [f"/x/{n}" for n in range(count)]})
        connection.register("places", places)
        connection.execute("insert into images by name select * from places")
        connection.execute(
            "insert into models values (?, 1, 2, 4, 8, 8, 16, 64, 'tok', 'class_token', '{}', ?, 100.0, 1e-7, "
            "null, null, null, null, null, null)",
            [MODEL, "0" * 64],
        )
        for head in range(2):
            connection.execute("insert into head_statistics values (?, 0, ?, null, null, null)", [MODEL, head])
        connection.execute("insert into batches values (?, 'images', ?, 0, ?, ?, ?)",
                           [MODEL, RUN, dataset.version, count, NOW])  # fmt: skip
    return index


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_vectors_are_bit_for_bit_those_of_the_index(two: Built, tmp_path: Path, kind: str) -> None:
    done("export", tmp_path / "out", "-i", two.path)
    for slug in ("one__a", "two__b"):
        stored = lance.dataset(str(two.path / "vectors" / f"{slug}.{kind}.lance")).to_table()
        written = pq.read_table(tmp_path / "out" / "vectors" / f"{slug}.{kind}" / "00000.parquet")
        assert written.column_names == [name for name in stored.column_names if not name.startswith("_")]
        for name in written.column_names:
            if pa.types.is_fixed_size_list(stored.schema.field(name).type):
                number = "f4" if kind == "texts" and name == "embedding" else "f2"
                assert bits(written[name], number) == bits(stored[name], number), name
            else:
                assert written[name].to_pylist() == stored[name].to_pylist()
        nulls = [None in bits(written[name], "f2") for name in written.column_names[3:]]
        assert any(nulls) == (kind == "images")  # the last two images have no vectors of layer 1


def test_duckdb_computes_with_the_lists(two: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "-i", two.path)
    files = f"read_parquet('{tmp_path}/out/vectors/one__a.images/*.parquet')"
    kinds = dict(row[:2] for row in duckdb.sql(f"describe from {files}").fetchall())
    assert (kinds["image_id"], kinds["embedding"], kinds["norm"], kinds["l1h0"]) == (
        *("VARCHAR", "FLOAT[]", "FLOAT", "FLOAT[]"),
    )
    found = duckdb.sql(f"select image_id, l2h1 from {files}").fetchall()
    np.testing.assert_array_equal([row[1] for row in found], two.vectors["one/a", 2, 1])
    assert [row[0] for row in found] == two.ids


def test_many_rows_keep_their_order_over_files(many: Path, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "-i", many)
    told = read_manifest((tmp_path / "out" / "manifest.json").read_text(), "out")
    assert [file.rows for file in told.of("images")] == [SHARD_ROWS, SHARD_ROWS, 1000]
    assert told.models[0].images == 2 * SHARD_ROWS + 1000
    files = [tmp_path / "out" / file.path for file in told.of("images", MODEL)]
    written = pa.concat_tables([pq.read_table(file) for file in files])
    stored = lance.dataset(str(images_path(many, MODEL))).to_table()
    assert written["image_id"].equals(stored["image_id"]) and written["norm"].equals(stored["norm"])
    for name in ("embedding", "l0h0", "l0h1"):
        assert bits(written[name], "f2") == bits(stored[name], "f2")


def test_same_index_same_bytes(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(many, tmp_path / "copy.clipdb"))
    lance.dataset(str(images_path(copy, MODEL))).optimize.compact_files()  # the same rows in other pieces
    version = lance.dataset(str(images_path(copy, MODEL))).version
    change(copy, "update batches set lance_version = ?", version)
    done("export", tmp_path / "a", "-i", many)
    done("export", tmp_path / "b", "-i", copy)
    monkeypatch.setattr(vector_shards, "_MOST_THREADS", 1)
    done("export", tmp_path / "c", "-i", many)
    first = contents(tmp_path / "a")
    assert len(first) == 3 + len(RELATIONS) + 2
    assert first == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_same_bytes_of_a_real_index(ready_index: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(ready_index, tmp_path / "elsewhere.clipdb")
    done("export", tmp_path / "a", "-i", ready_index)
    done("export", tmp_path / "b", "-i", copy)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_grown_index_changes_only_the_last_files(many: Path, tmp_path: Path) -> None:
    grown = Path(shutil.copytree(many, tmp_path / "grown.clipdb"))
    done("export", tmp_path / "a", "-i", grown)
    path = str(images_path(grown, MODEL))
    new = lance.dataset(path).to_table(limit=1).set_column(0, "image_id", [[sha("new")]])
    dataset = lance.write_dataset(new.cast(lance.dataset(path).schema), path, mode="append")
    change(grown, "insert into images (image_id, uri) values (?, '/new')", sha("new"))
    change(grown, "insert into batches values (?, 'images', ?, 1, ?, 1, ?)", MODEL, RUN, dataset.version, NOW)
    done("export", tmp_path / "b", "-i", grown)
    before, after = contents(tmp_path / "a"), contents(tmp_path / "b")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        *("README.md", "manifest.json", "relations/images.parquet", "vectors/many__rows.images/00002.parquet"),
    }


def test_rows_that_nothing_vouches_for_stay_behind(many: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(many, tmp_path / "own.clipdb"))
    path = images_path(index, MODEL)
    rest = lance.dataset(str(path)).to_table(limit=5)
    lance.write_dataset(rest, str(path), mode="append")  # a commit of Lance that DuckDB never heard of
    lost = [sha("2"), sha(str(SHARD_ROWS + 3))]
    for one in lost:
        change(index, "delete from images where image_id = ?", one)
    done("export", tmp_path / "out", "-i", index)
    held = [row[0] for row in rows(index, "select image_id from images")]
    files = sorted((tmp_path / "out" / "vectors" / "many__rows.images").iterdir())
    written = [one for file in files for one in pq.read_table(file, columns=["image_id"])["image_id"].to_pylist()]
    assert sorted(written) == sorted(held) and len(written) == 2 * SHARD_ROWS + 998
    assert [pq.read_metadata(file).num_rows for file in files] == [SHARD_ROWS, SHARD_ROWS, 998]
    order = [one for one in lance.dataset(str(images_path(many, MODEL))).to_table(columns=["image_id"])[
        "image_id"].to_pylist() if one not in lost]  # fmt: skip
    assert written == order


def test_vectors_that_are_gone_are_named(many: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(many, tmp_path / "own.clipdb"))
    shutil.rmtree(images_path(index, MODEL))
    from support import refused

    assert "are not at version" in refused("export", tmp_path / "out", "-i", index)
    assert [one.name for one in tmp_path.iterdir()] == ["own.clipdb"]
