"""Every item of every kind of source can be read again from its uri."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import open_sources
from clipdb.ingest.images.sources.uri import read_uri

IMAGES = {f"folder {n}/picture #{n}.png": f"image {n}".encode() for n in range(40)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in IMAGES.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "images"


def shard(path: Path) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in IMAGES.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def table(tmp_path: Path, folder: Path) -> Path:
    cells = [{"bytes": data, "path": name} for name, data in IMAGES.items()]
    cells[5] = {"bytes": None, "path": str(folder / next(iter(IMAGES)))}
    labelled = pa.table({"image": cells, "split": ["train"] * 40, "label": list(range(40))})
    pq.write_table(labelled, tmp_path / "table.parquet", row_group_size=17)
    return tmp_path / "table.parquet"


@pytest.mark.parametrize("source", ["images", "a#b.tar", "images.tar.gz", "table.parquet"])
def test_every_item_reads_the_same_from_its_uri(source: str, folder: Path, table: Path, tmp_path: Path) -> None:
    path = tmp_path / source
    items = list(open_sources([str(path if path.exists() else shard(path))]))
    assert len(items) == 40
    assert all(read_uri(item.uri) == item.read() for item in items)


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path, table: Path) -> None:
    def problem(uri: object) -> str:
        with pytest.raises(ClipdbError) as error:
            read_uri(str(uri))
        return str(error.value)

    assert "no longer exists" in problem(folder / "none.png")
    assert "no longer exists" in problem(tmp_path / "none.tar#x.png")
    assert "has no row 40" in problem(f"{table}#row=40")
    (tmp_path / "broken.tar").write_bytes(b"no archive")
    assert "broken.tar#x.png can't be read: " in problem(tmp_path / "broken.tar#x.png")
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    assert "broken.parquet#row=0 can't be read: " in problem(tmp_path / "broken.parquet#row=0")
