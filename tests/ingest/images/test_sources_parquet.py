"""Parquet files with images: which column, which label, and damage."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import SourceItem, open_sources

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, **options: Any) -> Path:
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)
    return path


def read(path: Path) -> list[SourceItem]:
    return list(open_sources([str(path)]))


def images(count: int) -> pa.Array:
    return pa.array([{"bytes": b"%d" % i, "path": f"cats/{i}.jpg"} for i in range(count)], STRUCT)


def test_hugging_face_images_and_class_names(tmp_path: Path) -> None:
    path = write(
        tmp_path / "test-00000-of-00001.parquet",
        {"fine": [1, 0, -1], "picture": images(3), "caption": ["a", None, "c"], "boxes": [[1.0], [2.0], []]},
        {"fine": {"_type": "ClassLabel", "names": ["cat", "dog"]}, "picture": {"_type": "Image"}},
    )
    sources = open_sources([str(path)])
    found = list(sources)
    assert sources.total == 3
    assert [one.uri for one in found] == [f"{path}#row={i}" for i in range(3)]
    assert [one.read() for one in found] == [b"0", b"1", b"2"]
    assert [one.label for one in found] == ["dog", "cat", None]
    assert {one.split for one in found} == {"test"}
    assert {one.parent for one in found} == {"cats"}
    assert found[0].metadata == {"path": "cats/0.jpg", "caption": "a"}
    assert found[1].metadata == {"path": "cats/1.jpg"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_a_binary_column_with_labels_and_splits(tmp_path: Path, kind: pa.DataType) -> None:
    path = write(
        tmp_path / "x.parquet",
        {
            "IMG": pa.array([b"a", b"b"], kind),
            "thumbnail": pa.array([b"-", b"-"]),
            "label": [7, 8],
            "split": ["train", None],
            "score": [0.5, float("nan")],
            "day": [datetime.date(2024, 5, 1), None],
        },
    )
    first, second = read(path)
    assert (first.read(), first.label, first.split) == (b"a", "7", "train")
    assert first.metadata == {"score": 0.5, "day": "2024-05-01"}
    assert (second.read(), second.label, second.split, second.parent) == (b"b", "8", None, None)


def test_the_only_column_that_can_be_an_image_is_it(tmp_path: Path) -> None:
    by_struct = write(tmp_path / "a.parquet", {"frame": images(1), "mask_png": pa.array([b"-"])})
    by_type = write(tmp_path / "b.parquet", {"id": [1], "blob": pa.array([b"x"])})
    assert [one.read() for one in open_sources([str(by_struct), str(by_type)])] == [b"0", b"x"]


@pytest.mark.parametrize("columns", [{"a": pa.array([b""]), "b": pa.array([b""])}, {"image": ["a.jpg"]}])
def test_no_plain_image_column_is_refused(tmp_path: Path, columns: dict[str, Any]) -> None:
    path = write(tmp_path / "x.parquet", columns)
    with pytest.raises(ClipdbError, match=r"no column that is plainly the image \(its columns: .*name the column"):
        open_sources([str(path)])


def test_images_outside_the_file_and_rows_without(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.jpg").write_bytes(b"outside")
    rows = [
        {"bytes": None, "path": "pics/a.jpg"},
        {"bytes": None, "path": None},
        None,
        {"bytes": None, "path": "no.jpg"},
    ]
    found = read(write(tmp_path / "x.parquet", {"image": pa.array(rows, STRUCT)}))
    assert (found[0].read(), found[0].uri, found[0].parent) == (b"outside", str(tmp_path / "pics/a.jpg"), "pics")
    for one in found[1:3]:
        with pytest.raises(ClipdbError, match="the row has no image"):
            one.read()
    with pytest.raises(FileNotFoundError):
        found[3].read()


def test_rows_count_through_row_groups_and_batches(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", {"image": images(100)}, row_group_size=30)
    assert [(one.uri, one.read()) for one in read(path)] == [(f"{path}#row={i}", b"%d" % i) for i in range(100)]


def test_damage_keeps_the_rows_before_it(tmp_path: Path) -> None:
    noise = pa.array([bytes([i]) * 5000 for i in range(60)])
    path = write(tmp_path / "x.parquet", {"image": noise}, row_group_size=20, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    data[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(data)
    *good, last = read(path)
    assert [one.read()[:1] for one in good] == [bytes([i]) for i in range(len(good))]
    assert len(good) >= 16
    with pytest.raises(ClipdbError, match=f"cannot be read from row {len(good)} on"):
        last.read()


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        (tmp_path / "data").mkdir(exist_ok=True)
        write(tmp_path / "data" / f"{name}.parquet", {"image": images(2)})
    (tmp_path / "README.md").write_text("a data set")
    sources = open_sources([str(tmp_path)])
    assert [one.split for one in sources] == ["train"] * 4 + ["validation"] * 2
    assert sources.total == 6
