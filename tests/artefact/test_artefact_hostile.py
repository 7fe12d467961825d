"""Files of artefacts that somebody changed, broke or made to do harm: refused before anything is written."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from artefacts import MODEL, SIZE, contents, edit, resign, with_cell
from support import refused

from clipdb.artefact.merge import Progress, import_artefact
from clipdb.errors import ClipdbError

IMAGES, TEXTS = "vectors/tiny__one.images/00000.parquet", "vectors/tiny__one.texts/00000.parquet"


@pytest.mark.parametrize("path", ["README.md", "relations/labels.parquet", IMAGES, TEXTS])
@pytest.mark.parametrize("how", ["byte", "longer", "gone", "symlink", "folder", "pipe"])
def test_a_file_that_is_not_as_it_was(path: str, how: str, artefact: Path, refusal: Callable[[], str]) -> None:
    file = artefact / path
    content = file.read_bytes()
    file.unlink()
    if how == "byte":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "longer":
        file.write_bytes(content + b"\0")
    elif how == "symlink":
        (artefact.parent / "outside").write_bytes(content)
        file.symlink_to(artefact.parent / "outside")
    elif how == "folder":
        file.mkdir()
    elif how == "pipe":
        os.mkfifo(file)
    said = {
        "byte": "was changed since it was exported (its SHA-256 is another)",
        "longer": f"was changed since it was exported (it has {len(content) + 1} bytes, not {len(content)})",
        "gone": "lacks",
        "symlink": "is a symbolic link",
        "folder": "is not a regular file",
        "pipe": "is not a regular file",
    }
    line = refusal()
    assert said[how] in line and path in line


@pytest.mark.parametrize("path", ["relations/labels.parquet", IMAGES])
@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_changes_after_it_was_checked(
    path: str, there: bool, index: Path, artefact: Path, tmp_path: Path
) -> None:
    """The same bytes put in its place, as an export that replaces this one would: nobody looked at those."""
    own = tmp_path / "own.clipdb"
    if there:
        shutil.copytree(index, own)
        before = contents(own)

    def swap(_: int) -> None:
        (artefact / "copy").write_bytes((artefact / path).read_bytes())
        (artefact / "copy").rename(artefact / path)

    with pytest.raises(ClipdbError, match=f"{path} was changed while it was imported: import it again"):
        import_artefact(own, artefact, progress=Progress(total=swap))
    assert contents(own) == before if there else not list(tmp_path.glob("*own.clipdb*"))


@pytest.mark.parametrize("there", [False, True])
def test_an_artefact_that_goes_after_it_was_checked(there: bool, index: Path, artefact: Path, tmp_path: Path) -> None:
    own = index if there else tmp_path / "own.clipdb"
    with pytest.raises(ClipdbError, match=r"lacks .*, which its manifest\.json names"):
        import_artefact(own, artefact, progress=Progress(total=lambda _: shutil.rmtree(artefact)))
    assert not list(tmp_path.glob("*own.clipdb*"))


def test_a_folder_that_is_a_symlink(artefact: Path, refusal: Callable[[], str]) -> None:
    (artefact / "relations").rename(artefact.parent / "outside")
    (artefact / "relations").symlink_to(artefact.parent / "outside")
    assert f"{artefact / 'relations'} is a symbolic link" in refusal()


def _set(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.__setitem__(key, value)


def _of_file(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["files"][1].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("format_version", 2), "upgrade clipdb"),
        (_set("schema_version", 99), "upgrade clipdb"),
        (_set("format", "pickle"), "not of a clipdb artefact"),
        (_of_file("path", "../outside"), "path"),
        (_of_file("path", "/etc/passwd"), "path"),
        (_of_file("path", "relations/../../outside"), "path"),
        (_of_file("rows", 10**9), ""),
        (_of_file("bytes", -1), "bytes"),
        (_of_file("sha256", "ABC"), "sha256"),
        (lambda manifest: manifest["models"][0].__setitem__("model_id", "../../x"), "model"),
        (lambda manifest: manifest["models"].clear(), MODEL),
        (lambda manifest: manifest["files"].pop(2), ""),
        (lambda manifest: manifest.pop("files"), "files"),
        (_set("licence", ["x"]), "licence is a list and not a text"),
    ],
)
def test_a_manifest_that_lies(
    change: Callable[[dict[str, Any]], None], said: str, artefact: Path, refusal: Callable[[], str]
) -> None:
    path = artefact / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    assert said in refusal()


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'"' + b"x" * 70_000_000, b"\xff\xfe", b"null"])
def test_a_manifest_that_is_none(content: bytes, artefact: Path, refusal: Callable[[], str]) -> None:
    (artefact / "manifest.json").write_bytes(content)
    assert "manifest.json" in refusal()


def test_what_the_manifest_does_not_name_is_left_alone(artefact: Path, tmp_path: Path) -> None:
    (artefact / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    (artefact / ".gitattributes").write_text("* text")
    (artefact / "relations" / "more.parquet").write_bytes(b"PAR1")
    from support import clipdb

    result = clipdb("import", artefact, "-i", tmp_path / "new.clipdb")
    assert result.exit_code == 0, result.output
    assert (
        "files that the manifest does not name were left alone (2): evil.pkl, relations/more.parquet" in result.stderr
    )


@pytest.mark.parametrize("where", ["no", "file", "empty", "index"])
def test_what_is_no_artefact(where: str, index: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    if where == "file":
        place.write_text("x")
    elif where == "empty":
        place.mkdir()
    elif where == "index":
        place = index
    assert "artefact" in refused("import", place, "-i", tmp_path / "new.clipdb")
    assert not (tmp_path / "new.clipdb").exists()


def test_a_url_is_to_be_downloaded_first(tmp_path: Path) -> None:
    url = "hf://datasets/owner/name"
    said = refused("import", url, "-i", tmp_path / "new.clipdb")
    assert said.startswith(f"{url} is a URL: download it") and f"`clipdb query -i {url}`" in said


def test_what_is_in_the_way_of_a_new_index_stays(exported: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("x")
    for index in (place, tmp_path):
        assert "choose another name" in refused("import", exported, "-i", index)
    assert [one.name for one in tmp_path.iterdir()] == ["place"] and place.read_text() == "x"


# Parquet files


def _renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns(["x", *table.column_names[1:]])


def _cast(column: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(column), column, pa.nulls(len(table), kind))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("relations/texts.parquet", _renamed),
        ("relations/texts.parquet", lambda table: table.append_column("sql", table.column("text"))),
        ("relations/texts.parquet", lambda table: table.select(["text", "text_id"])),
        ("relations/labels.parquet", lambda table: table.drop_columns("status")),
        ("relations/runs.parquet", _cast("added", pa.float64())),
        ("relations/heads.parquet", _cast("basis", pa.list_(pa.float64()))),
        ("relations/labels.parquet", _cast("created_at", pa.timestamp("us"))),
        (IMAGES, _cast("l1h0", pa.list_(pa.float32(), SIZE))),
        (IMAGES, _cast("l1h0", pa.list_(pa.float16(), SIZE + 1))),
        (IMAGES, _cast("l1h0", pa.list_(pa.float16()))),
        (IMAGES, lambda table: table.append_column("l3h1", table.column("l1h0"))),
        (IMAGES, lambda table: table.append_column("l1h00", table.column("l1h0"))),
        (IMAGES, lambda table: table.append_column(f"l{'9' * 5000}h0", table.column("l1h0"))),
        (IMAGES, lambda table: table.drop_columns("norm")),
    ],
)  # fmt: skip
def test_another_schema(
    path: str, change: Callable[[pa.Table], pa.Table], artefact: Path, refusal: Callable[[], str]
) -> None:
    edit(artefact, path, change)
    assert str(artefact / path.rpartition("/")[0]) in refusal()


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def element(name: bytes, children: int | None = None) -> bytes:
    """A SchemaElement in Thrift's compact protocol: a group, or an optional INT32."""
    if children is None:
        return b"\x15\x02\x25\x02\x18" + varint(len(name)) + name + b"\0"
    return b"\x35\x02\x18" + varint(len(name)) + name + b"\x15" + varint(2 * children) + b"\0"


def parquet(elements: list[bytes], groups: bytes = b"\x0c") -> bytes:
    schema = b"\xfc" + varint(len(elements)) + b"".join(elements)
    footer = b"\x15\x04\x19" + schema + b"\x16\0\x19" + groups + b"\0"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def many_chunks(count: int) -> bytes:
    """Row groups of nearly empty column chunks: some bytes each in the file, and hundreds when they are parsed."""
    chunks = b"\x19\xfc" + varint(count) + b"\x26\0\0" * count
    return b"\xfc" + varint(count) + (chunks + b"\x16\0\x16\0\0") * count


BOMBS = {
    "nested": lambda: parquet([element(b"schema", 1), *[element(b"a", 1)] * 100_000, element(b"x")]),
    "nested less": lambda: parquet([element(b"schema", 1), *[element(b"a", 1)] * 2_000, element(b"x")]),
    "wide": lambda: parquet([element(b"schema", 60_000), *[element(b"x")] * 60_000]),
    "lying about children": lambda: parquet([element(b"schema", 2**30), element(b"x")]),
    "without end": lambda: parquet([element(b"schema", -1 & 0x7FFFFFFF)]),
    "chunks": lambda: parquet([element(b"schema", 1), element(b"x")], many_chunks(450)),
    "a footer of any size": lambda: b"PAR1" + bytes(50_000_000) + struct.pack("<I", 49_999_000) + b"PAR1",
    "a footer longer than the file": lambda: b"PAR1" + struct.pack("<I", 2**31) + b"PAR1",
    "nothing": lambda: b"",
    "two bytes": lambda: b"PA",
    "encrypted": lambda: b"PARE" + bytes(20) + struct.pack("<I", 20) + b"PARE",
    "pickle": lambda: b"cos\nsystem\n(S'touch owned'\ntR.",
}


@pytest.mark.parametrize("path", ["relations/spans.parquet", IMAGES])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_parquet_file_that_is_a_bomb(path: str, bomb: str, artefact: Path, refusal: Callable[[], str]) -> None:
    (artefact / path).write_bytes(BOMBS[bomb]())
    resign(artefact)
    assert path in refusal()


def test_a_text_that_unpacks_to_far_more_than_it_is(artefact: Path, refusal: Callable[[], str]) -> None:
    edit(artefact, "relations/labels.parquet", lambda rows: with_cell(rows, "rationale", "a" * 100_000_000))
    assert (artefact / "relations/labels.parquet").stat().st_size < 50_000
    assert "would unpack to" in refusal()


def test_a_text_that_is_said_again_and_again(artefact: Path, refusal: Callable[[], str]) -> None:
    """A dictionary has it once, whatever the number of rows: unpacked, this is 200 GB."""

    def again(rows: pa.Table) -> pa.Table:
        rows = pa.concat_tables([rows.slice(0, 1)] * 20_000).combine_chunks()
        long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(rows), np.int32)), ["a" * 10_000_000])
        return rows.set_column(rows.schema.get_field_index("rationale"), "rationale", long)

    edit(artefact, "relations/labels.parquet", again)
    assert (artefact / "relations/labels.parquet").stat().st_size < 2_000_000
    start = time.monotonic()
    assert "relations/labels.parquet" in refusal()
    assert time.monotonic() - start < 60  # not a figure: it either takes no time or never ends
