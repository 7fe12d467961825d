"""A person's own file of descriptions: what is read from it, and what is said about a bad one."""

from __future__ import annotations

import csv
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipdb.errors import ClipdbError
from clipdb.pools import PoolText, read, read_counted

# Anything a UTF-8 file can hold but the zero character, which is refused.
characters = st.characters(codec="utf-8", exclude_characters="\0")
texts = st.text(characters, max_size=30)
properties = st.none() | st.sampled_from(["colour", " shape ", "", "time of day"])
rows = st.lists(st.tuples(texts, properties), min_size=1, max_size=20)


def oracle(pairs: list[tuple[str, str | None]]) -> tuple[list[PoolText], int, int]:
    kept: list[PoolText] = []
    duplicates = empty = 0
    for text, name in pairs:
        if text.strip() == "":
            empty += 1
        elif any(text.strip() == other.text for other in kept):
            duplicates += 1
        else:
            kept.append(PoolText(text.strip(), (name or "").strip() or None))
    return kept, duplicates, empty


def assert_read_as(path: Path, expected: tuple[list[PoolText], int, int]) -> None:
    if expected[0]:
        assert tuple(read_counted(path)) == expected
        assert read(path) == expected[0]
    else:
        with pytest.raises(ClipdbError, match="holds no description"):
            read_counted(path)


def failure(path: Path) -> str:
    with pytest.raises(ClipdbError) as caught:
        read_counted(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


@settings(max_examples=80, deadline=None)
@given(rows)
def test_csv_round_trip(pairs: list[tuple[str, str | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "property"])
            writer.writerows([i, text, name] for i, (text, name) in enumerate(pairs))
        assert_read_as(path, oracle(pairs))


@settings(max_examples=40, deadline=None)
@given(rows)
def test_parquet_round_trip(pairs: list[tuple[str, str | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.parquet"
        columns = {
            "property": [name for _, name in pairs],
            "text": [text for text, _ in pairs],
            "n": [1] * len(pairs),
        }
        schema = pa.schema({"property": pa.string(), "text": pa.string(), "n": pa.int8()})
        pq.write_table(pa.table(columns, schema), path)
        assert_read_as(path, oracle(pairs))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=30), min_size=1))
def test_text_round_trip(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.txt"
        path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
        if lines[0].startswith("\ufeff"):
            # A file cannot say whether a leading U+FEFF is text: it is read as the byte order mark.
            lines = [lines[0][1:], *lines[1:]]
        assert_read_as(path, oracle([(line, None) for line in lines]))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_the_byte_order_mark_are_no_part_of_a_text(tmp_path: Path, end: str, mark: bytes) -> None:
    path = tmp_path / "pool.txt"
    path.write_bytes(mark + f"a red mug{end}{end}  un café  {end}a red mug".encode())
    assert read_counted(path) == ([PoolText("a red mug"), PoolText("un café")], 1, 1)
    table = tmp_path / "pool.csv"
    table.write_bytes(mark + f"text{end}a red mug{end}".encode())
    assert read(table) == [PoolText("a red mug", None)]


def test_case_makes_another_text(tmp_path: Path) -> None:
    path = tmp_path / "pool"
    path.write_text("a T\na t\n")
    assert [row.text for row in read(path)] == ["a T", "a t"]


def test_header_is_found_whatever_its_case_and_short_rows_have_no_property(tmp_path: Path) -> None:
    path = tmp_path / "POOL.CSV"
    path.write_text('Property, Text \ncolour,a red mug\n,"a mug, a cup"\nsize\n')
    assert read_counted(path) == ([PoolText("a red mug", "colour"), PoolText("a mug, a cup")], 0, 1)


def test_first_property_of_a_repeated_text_stays(tmp_path: Path) -> None:
    path = tmp_path / "pool.csv"
    path.write_text("text,property\na red mug,colour\n a red mug ,drink\n")
    assert read_counted(path) == ([PoolText("a red mug", "colour")], 1, 0)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_every_kind_of_string_column_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "pool.pq"
    pq.write_table(pa.table({"text": pa.array(["a red mug", None, "a cup"]).cast(kind)}), path)
    assert read_counted(path) == ([PoolText("a red mug"), PoolText("a cup")], 0, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "FILE is empty: write one description per line into it"),
        ("a.csv", b"", "FILE is empty"),
        ("a.parquet", b"", "FILE is empty"),
        ("a.txt", b" \n\t\r\n", "FILE holds no description"),
        ("a.txt", b"\xef\xbb\xbf", "FILE holds no description"),
        ("a.csv", b"text,property\n", "FILE holds no description"),
        ("a.csv", b"caption,label\nx,y\n", "FILE has no column 'text' (its columns: caption, label): name"),
        ("a.csv", b"\n\ntext\n", "FILE has no column 'text' (its columns: none)"),
        (
            "a.csv",
            b"text,property\na,b\na big, red mug,colour\n",
            "FILE line 3 has 3 fields, its header 2: put texts",
        ),
        ("a.csv", b'text\n"never closed\nx\n', "FILE line 3 is not CSV (unexpected end of data)"),
        ("a.csv", b"text\n" + b"x" * 200_000, "FILE line 2 is not CSV (field larger than field limit"),
        (
            "a.txt",
            "fine\nun café\n".encode("latin-1"),
            "FILE is not UTF-8: line 2 holds the byte 0xe9; save it as",
        ),
        ("a.csv", b"text\na\nb\n\xff\n", "FILE is not UTF-8: line 4 holds the byte 0xff"),
        ("a.txt", b"\xef\xbb\xbfa\nb\xff\n", "FILE is not UTF-8: line 2 holds the byte 0xff"),
        ("a.txt", "a mug\n".encode("utf-16"), "FILE is not UTF-8: line 1 holds the byte 0xff"),
        (
            "a.txt",
            "a mug\n".encode("utf-16-be"),
            "FILE is not text: line 1 holds a zero byte; save it as UTF-8",
        ),
        ("a.parquet", b"text\na red mug\n", "FILE is not a whole Parquet file ("),
        ("a.json", b'["a red mug"]', "cannot tell what FILE holds: give a .txt, .csv or .parquet file"),
    ],
)
def test_a_bad_file_is_named_with_what_to_change(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert message in failure(path)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.parquet"])
def test_a_missing_file_and_a_directory(tmp_path: Path, name: str) -> None:
    assert failure(tmp_path / name).startswith("no file FILE: give a .txt")
    (tmp_path / name).mkdir()
    assert failure(tmp_path / name).startswith("FILE is a directory: give a .txt")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a red mug\n")
    path.chmod(0)
    assert failure(path) == "cannot read FILE: Permission denied"


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red mug\n")
    assert failure(tmp_path / "a.txt" / "b.txt") == "cannot read FILE: Not a directory"


def test_parquet_without_the_column_cut_short_or_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"caption": ["a red mug"]}), path)
    assert failure(path).startswith("FILE has no column 'text' (its columns: caption)")
    pq.write_table(pa.table({"text": [1, 2]}), path)
    assert failure(path) == "FILE: column 'text' is int64, not text: store it as a string column"
    pq.write_table(pa.table({"text": ["a"], "property": [1.5]}), path)
    assert failure(path) == "FILE: column 'property' is double, not text: store it as a string column"
    pq.write_table(pa.table({"text": [f"mug {i}" for i in range(5000)]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    assert failure(path).startswith("FILE is not a whole Parquet file (")
