"""What is said of images: lists with columns bring it in, later ingests fill in what is missing."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import done, refused, rows

FACTS = "select parse_filename(uri), label, split, metadata from images order by 1"
NOWHERE = ("--workers", 0, "-i")


@pytest.fixture
def folder(pictures: list[Path], tmp_path: Path) -> Path:
    """Three pictures in a folder: a.png, b.png, c.png."""
    (tmp_path / "photos").mkdir()
    for name, picture in zip("abc", pictures[:3], strict=True):
        shutil.copy(picture, tmp_path / "photos" / f"{name}.png")
    return tmp_path


def known(index: Path) -> dict[str, tuple[Any, ...]]:
    return {row[0]: (row[1], row[2], json.loads(row[3]) if row[3] else None) for row in rows(index, FACTS)}


ROWS: list[dict[str, Any]] = [
    {"file_name": "photos/a.png", "label": "cat", "split": "train", "legs": 4, "note": "a, b"},
    {"file_name": "photos/b.png", "label": "bird", "split": "val", "legs": 2, "note": None},
    {"file_name": "photos/c.png", "label": None, "split": None, "legs": None, "note": None},
]


def write(path: Path, content: list[dict[str, Any]] = ROWS) -> Path:
    """Write rows as the suffix says."""
    names = list(content[0])
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    else:
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(content)
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.tsv", "list.jsonl", "list.parquet"])
def test_a_list_with_columns(name: str, folder: Path, model: tuple) -> None:
    index = folder / "i.clipdb"
    assert done("ingest", "images", write(folder / name), *model, *NOWHERE, index).endswith(
        "added 3, skipped 0, failed 0\n"
    )
    legs = (4, 2) if name in ("list.jsonl", "list.parquet") else ("4", "2")  # CSV has only text
    assert known(index) == {
        "a.png": ("cat", "train", {"legs": legs[0], "note": "a, b"}),
        "b.png": ("bird", "val", {"legs": legs[1]}),
        "c.png": (None, None, None),
    }


@pytest.mark.parametrize("column", ["path", "file", "filepath", "file_name", "FilePath"])
def test_names_of_the_column_of_paths(column: str, folder: Path, model: tuple) -> None:
    path = write(folder / "list.csv", [{column: str(folder / "photos" / "a.png"), "x": "1"}])
    done("ingest", "images", path, *model, *NOWHERE, folder / "i.clipdb")
    assert known(folder / "i.clipdb") == {"a.png": (None, None, {"x": "1"})}


def test_the_lists_that_the_demo_and_imagefolder_write_come_in(folder: Path, model: tuple, scenes: Path) -> None:
    lines = (scenes / "scenes.csv").read_text().splitlines()
    own = folder / "scenes"
    own.mkdir()
    for line in lines[1:4]:
        shutil.copy(scenes / line.split(",")[0], own)
    (own / "scenes.csv").write_text("\n".join(lines[:4]) + "\n")
    done("ingest", "images", own / "scenes.csv", *model, *NOWHERE, folder / "i.clipdb")
    assert all(set(facts[2]) >= {"colour", "shape", "background"} for facts in known(folder / "i.clipdb").values())


def test_a_plain_list_may_be_called_csv(folder: Path, model: tuple) -> None:
    (folder / "plain.csv").write_text("photos/a.png\nphotos/b.png\n")
    assert "added 2" in done("ingest", "images", folder / "plain.csv", *model, *NOWHERE, folder / "i.clipdb")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.csv", "image_url,label\nx.png,cat\n", "filepath or file_name (its columns: image_url, label)"),
        ("l.csv", "path,label\n", "names no images: write one row per image"),
        ("l.csv", "path,label\na.png,cat,dog\n", "line 2 has 3 fields and its header 2"),
        ("l.csv", "path,path\na.png,b.png\n", "has the column 'path' twice"),
        ("l.csv", b"path,label\na.png,\xff\n", "is not UTF-8"),
        ("l.csv", 'path,label\n"a.png,cat\n', "can't be read"),
        ("l.jsonl", '{"path": "a.png"}\n{"path"\n', "line 2 is not JSON"),
        ("l.jsonl", '["a.png"]\n', "line 1 is not an object"),
        ("l.jsonl", "", "names no images"),
        ("l.parquet", b"PAR1", "is not a readable Parquet file"),
    ],
)  # fmt: skip
def test_lists_that_will_not_do(name: str, content: str | bytes, said: str, folder: Path, model: tuple) -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    assert said in refused("ingest", "images", folder / name, *model, *NOWHERE, folder / "i.clipdb")
    assert not (folder / "i.clipdb").exists()


def test_rows_that_name_nothing_fail_alone(folder: Path, model: tuple) -> None:
    content = [{"path": "photos/a.png"}, {"path": ""}, {"path": "photos/none.png"}, {"path": "https://x/y.png"}]
    path = write(folder / "l.jsonl", content)
    index = folder / "i.clipdb"
    assert done("ingest", "images", path, *model, *NOWHERE, index).endswith("added 1, skipped 0, failed 3\n")
    errors = dict(rows(index, "select uri, error from image_failures"))
    assert errors[f"{path}#row=2"] == "the row has no path"
    assert errors[str(folder / "photos" / "none.png")] == "No such file or directory"
    assert "download it first" in errors[f"{path}#row=4"]


def test_what_is_missing_is_filled_in(folder: Path, model: tuple) -> None:
    index = folder / "i.clipdb"
    done("ingest", "images", folder / "photos", *model, *NOWHERE, index)
    again = done("ingest", "images", write(folder / "l.csv"), *model, *NOWHERE, index)
    assert again.endswith("added 0, skipped 3, failed 0, updated 2\n")
    assert known(index)["b.png"] == ("bird", "val", {"legs": "2"})
    runs = len(rows(index, "from runs"))
    once_more = done("ingest", "images", write(folder / "l.csv"), *model, *NOWHERE, index)
    assert once_more.endswith("added 0, skipped 3, failed 0\n")
    assert len(rows(index, "from runs")) <= runs + 1
    done("verify", "-i", index)


def test_the_options_fill_in_too(folder: Path, model: tuple) -> None:
    index = folder / "i.clipdb"
    command = ("ingest", "images", folder / "photos", *model, *NOWHERE, index)
    done(*command)
    assert done(*command, "--label-from", "parent", "--split", "val").endswith("updated 3\n")
    assert known(index)["a.png"] == ("photos", "val", None)


def test_what_differs_is_kept_and_said_and_taken_if_asked(folder: Path, model: tuple) -> None:
    from support import clipdb

    index = folder / "i.clipdb"
    done("ingest", "images", write(folder / "l.jsonl"), *model, *NOWHERE, index)
    changed = [ROWS[0] | {"label": "dog", "legs": 3, "extra": True}, ROWS[1] | {"split": "test"}]
    command = ("ingest", "images", write(folder / "m.jsonl", changed), *model, *NOWHERE, index)
    result = clipdb(*command)
    assert result.exit_code == 0 and result.stdout.endswith("skipped 2, failed 0, updated 1\n")
    assert known(index)["a.png"] == ("cat", "train", {"legs": 4, "note": "a, b", "extra": True})
    assert "label: 1, legs: 1, split: 1" in result.stderr and "the label 'cat', not 'dog'" in result.stderr
    assert done(*command, "--overwrite").endswith("updated 2\n")
    assert known(index)["a.png"] == ("dog", "train", {"legs": 3, "note": "a, b", "extra": True})
    assert known(index)["b.png"][1] == "test"


def test_text_that_means_the_same_number_is_no_difference(folder: Path, model: tuple) -> None:
    from support import clipdb

    index = folder / "i.clipdb"
    done("ingest", "images", write(folder / "l.jsonl"), *model, *NOWHERE, index)
    result = clipdb("ingest", "images", write(folder / "l.csv"), *model, *NOWHERE, index)
    assert result.stdout.endswith("skipped 3, failed 0\n") and "differs" not in result.stderr
    assert known(index)["a.png"][2]["legs"] == 4


def test_a_path_where_nothing_is_any_more_is_replaced(folder: Path, model: tuple) -> None:
    index = folder / "i.clipdb"
    command = ("ingest", "images", *model, *NOWHERE, index)
    done(*command, folder / "photos")
    shutil.copytree(folder / "photos", folder / "copy")
    assert done(*command, folder / "copy").endswith("skipped 3, failed 0\n")  # both are there: the first stays
    (folder / "photos" / "a.png").unlink()
    assert done(*command, folder / "copy").endswith("skipped 3, failed 0, updated 1\n")
    places = {row[0] for row in rows(index, "select uri from images")}
    assert places == {
        str(folder / "copy" / "a.png"),
        str(folder / "photos" / "b.png"),
        str(folder / "photos" / "c.png"),
    }


def test_a_layer_that_comes_later_fills_in_too(folder: Path, model: tuple) -> None:
    index = folder / "i.clipdb"
    command = ("ingest", "images", folder / "photos", *model, *NOWHERE, index)
    done(*command, "--layers", "4")
    assert done(*command, "--layers", "3", "--split", "val").endswith("added 3, skipped 0, failed 0, updated 3\n")
    assert [facts[1] for facts in known(index).values()] == ["val"] * 3
    done("verify", "-i", index)


def test_images_of_another_model_are_known(folder: Path, model: tuple) -> None:
    index = folder / "i.clipdb"
    done("ingest", "images", folder / "photos", *model, *NOWHERE, index)
    other = ("--model", "clipdb-tiny/scenes")
    assert "added 3" in done("ingest", "images", folder / "photos", *other, *NOWHERE, index)
    assert rows(index, "select count(*), count(distinct image_id) from images") == [(3, 3)]
    done("verify", "-i", index)
