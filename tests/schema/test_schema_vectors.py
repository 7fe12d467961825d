from __future__ import annotations

from pathlib import Path

import lance
import lancedb
import numpy as np
import pyarrow as pa
import pytest

from clipdb.errors import ClipdbError
from clipdb.schema import vectors

SIZES = {(11, 3): 4, (2, 0): 4, (11, 0): 3}


def column(rows: int, size: int, dtype: type = np.float16) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows * size).astype(dtype)), size)


def rows(ids: list[str], sizes: dict[tuple[int, int], int]) -> pa.Table:
    n = len(ids)
    columns = [pa.array(ids), column(n, 8), pa.array(np.ones(n, np.float32)), pa.array(["r"] * n)]
    columns += [pa.array([0] * n, pa.int32()), *(column(n, sizes[key]) for key in sorted(sizes))]
    return pa.table(columns, schema=vectors.images_schema(8, sizes))


def test_a_schema_says_what_it_was_made_of() -> None:
    for schema in (vectors.images_schema(8, SIZES), vectors.texts_schema(8, SIZES)):
        assert vectors.head_columns(schema) == {(2, 0): "l2h0", (11, 0): "l11h0", (11, 3): "l11h3"}
        assert list(vectors.head_columns(schema)) == sorted(SIZES)
        assert vectors.part_dims(schema) == SIZES
        assert vectors.embed_dim(schema) == 8
        assert all(schema.field(name).nullable for name in vectors.head_columns(schema).values())


def test_lance_keeps_the_layout_and_its_key(tmp_path: Path) -> None:
    path = vectors.images_path(tmp_path, "ViT-B-32/openai")
    assert path == tmp_path / "vectors" / "ViT-B-32__openai.images.lance"
    vectors.vectors_path(tmp_path).mkdir()
    table = rows(["a", "b"], SIZES)
    dataset = lance.write_dataset(table, str(path))
    assert dataset.schema.equals(vectors.images_schema(8, SIZES), check_metadata=True)
    dataset.merge_insert("image_id").when_not_matched_insert_all().execute(rows(["b", "c"], SIZES))
    assert sorted(dataset.to_table()["image_id"].to_pylist()) == ["a", "b", "c"]
    assert dataset.to_table().slice(0, 2).equals(table)


def test_a_layer_added_later_is_null_until_the_image_runs_again(tmp_path: Path) -> None:
    vectors.vectors_path(tmp_path).mkdir()
    dataset = lance.write_dataset(rows(["a"], SIZES), str(vectors.images_path(tmp_path, "m/w")))
    wider = vectors.images_schema(8, SIZES | {(0, 1): 4})
    dataset.add_columns(pa.schema([wider.field("l0h1")]))
    assert vectors.part_dims(dataset.schema) == SIZES | {(0, 1): 4}
    assert dataset.to_table(columns=["l0h1"]).to_pylist() == [{"l0h1": None}]


def test_lancedb_opens_the_same_tables(tmp_path: Path) -> None:
    vectors.vectors_path(tmp_path).mkdir()
    texts = pa.table(
        [pa.array(["t"]), column(1, 8, np.float32), pa.array(["r"]), pa.array([0], pa.int32()), column(1, 4)],
        schema=vectors.texts_schema(8, {(0, 0): 4}),
    )
    lance.write_dataset(texts, str(vectors.texts_path(tmp_path, "m/w")))
    table = lancedb.connect(vectors.vectors_path(tmp_path)).open_table("m__w.texts")
    assert table.to_arrow().equals(texts)


@pytest.mark.parametrize("name", ["a/b/c", "../../a", "a b/c", "a__b/c", "a", ""])
def test_a_model_name_that_no_file_can_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClipdbError, match="ARCH/PRETRAINED"):
        vectors.images_path(tmp_path, name)
