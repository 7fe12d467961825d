"""Lists, tar shards and Parquet files with damage anywhere: images and failures of their own, or one line."""

from __future__ import annotations

import datetime
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import damaged

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import open_sources

CASES = 120
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def damaged_footer(rng: random.Random, data: bytes) -> bytes:
    """Damage a Parquet file, every other time in its footer, which is the smaller part."""
    footer = int.from_bytes(data[-8:-4], "little") + 8
    return data[:-footer] + damaged(rng, data[-footer:]) if rng.random() < 0.5 else damaged(rng, data)


def file_list(rng: random.Random) -> bytes:
    lines = [f"{number}.jpg" for number in range(10)] + ["# a comment", "", "a b.jpg", "file:///x/%20y.jpg", "../z.png"]
    return "\n".join(lines).encode()


def tar(rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=rng.choice(["w", "w:gz"])) as archive:
        for number in range(12):
            for name, data in (
                (f"d/{number}.jpg", bytes(700)),
                (f"d/{number}.cls", b"cat"),
                (f"d/{number}.json", b"{}"),
            ):
                member = tarfile.TarInfo(name if number % 4 else "x" * 150 + name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def parquet(rng: random.Random) -> bytes:
    rows = range(40)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b", "c"]}}
    table = pa.table(
        {
            "image": pa.array([{"bytes": bytes([row]) * 500, "path": f"{row}.jpg"} for row in rows], IMAGE),
            "label": [row % 3 for row in rows],
            "caption": [f"text {row}" for row in rows],
            "score": [row / 7 for row in rows],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    codec = rng.choice(["none", "snappy", "zstd", "gzip"])
    pq.write_table(table, buffer, compression=codec, use_dictionary=rng.random() < 0.5, row_group_size=15)
    return buffer.getvalue()


def read(path: Path) -> tuple[int, list[str]]:
    """Read all items as an ingest does; count them, and give the reasons of those that fail."""
    failures, number = [], 0
    for item in open_sources([str(path)]):
        number += 1
        item.uri.encode()
        json.dumps(item.metadata, ensure_ascii=False, allow_nan=False).encode()
        try:
            assert isinstance(item.read(), bytes)
        except (ClipdbError, OSError) as error:
            failures.append(str(error))
    return number, failures


@pytest.mark.parametrize(
    ("name", "make", "damage"),
    [
        ("list.txt", file_list, damaged),
        ("shard.tar", tar, damaged),
        ("shard.tar.gz", tar, damaged),
        ("table.parquet", parquet, damaged_footer),
    ],
)
def test_damage_is_a_failure_of_its_own(
    name: str, make: Callable[[random.Random], bytes], damage: Callable[..., bytes], tmp_path: Path
) -> None:
    path = tmp_path / name
    came = refused = 0
    for case in range(CASES):
        rng = random.Random(case)
        path.write_bytes(damage(rng, make(rng)))
        try:
            number, failures = read(path)
            assert number < 200 and all(len(reason) < 5000 for reason in failures), case
            came += number
        except ClipdbError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, case
            refused += 1
    assert came > 2 * CASES and refused < CASES
    assert sorted(tmp_path.iterdir()) == [path]


def written(folder: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**52, 0], pa.timestamp("ms")),
        pa.array([2**30, 0], pa.date32()),
        pa.array([2**60, 0], pa.duration("s")),
        pa.Array.from_buffers(
            pa.string(), 2, [None, pa.py_buffer(np.array([0, 2, 3], np.int32)), pa.py_buffer(b"\xff\xfea")]
        ),
    ],
    ids=["timestamp", "date", "duration", "text"],
)
def test_a_cell_that_can_t_be_read_costs_no_image(column: pa.Array, tmp_path: Path) -> None:
    path = written(tmp_path, image=[b"one", b"two"], other=column)
    first, second = open_sources([str(path)])
    assert (first.read(), second.read()) == (b"one", b"two")
    assert first.metadata is None and list(second.metadata or {}) == ["other"]


def test_paths_that_can_t_be(tmp_path: Path) -> None:
    path = written(tmp_path, image=pa.array([{"bytes": None, "path": "a\0b.jpg"}], IMAGE))
    assert read(path) == (1, ["a path has no zero byte in it"])
    numbers = pa.struct([("bytes", pa.binary()), ("path", pa.int32())])
    path = written(tmp_path, image=pa.array([{"bytes": None, "path": 5}, {"bytes": b"x", "path": 5}], numbers))
    assert read(path) == (2, ["the row has no image"])


def test_class_names_that_are_no_list(tmp_path: Path) -> None:
    path, when = tmp_path / "table.parquet", datetime.datetime(2026, 1, 2)
    for names in (5, "abc", {"a": 1}):
        features = {"label": {"_type": "ClassLabel", "names": names}}
        table = pa.table({"image": [b"x"], "label": [1], "at": [when]})
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(table.replace_schema_metadata(about), path)
        [item] = open_sources([str(path)])
        assert (item.label, item.metadata) == ("1", {"at": when.isoformat()})
