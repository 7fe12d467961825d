"""`clipdb export embeddings`: the arithmetic against plain float64, and the files as others read them."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import pyarrow.parquet as pq
import pytest
from built_index import EMBED, Built
from support import change, clipdb, done, refused, rows
from task_index import Head, Task, build_task

from clipdb.artefact.export import embeddings, vector_shards
from clipdb.schema.names import head_name
from clipdb.schema.vectors import images_path

COLOUR, LAYER_1 = [(1, 0), (1, 1), (2, 0)], [(1, 0), (1, 1), (1, 2)]
ALL = [(layer, head) for layer in (1, 2) for head in range(3)]
FORMULAS = {
    "none": "e",
    "without": "e - sum of Q y over the heads removed",
    "mean": "e - sum of Q (y - m) over the heads removed",
    "only": "sum of Q y over the heads kept",
}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return build_task(tmp_path_factory.mktemp("task") / "task.clipdb")


def truth(task: Task, heads: list[Head], edit: str, normalise: bool) -> dict[str, np.ndarray]:
    """One image after the other, in float64; images that have not been through all heads are not there."""
    found = {}
    for row, image_id in enumerate(task.built.ids):
        if any(np.isnan(task.y(head)[row]).any() for head in heads):
            continue
        value = np.zeros(EMBED) if edit == "only" else task.images[row].copy()
        for head in heads:
            y = task.y(head)[row] - (task.means[head] if edit == "mean" else 0)
            value += task.bases[head] @ y if edit == "only" else -(task.bases[head] @ y)
        found[image_id] = value / np.linalg.norm(value) if normalise else value
    return found


def exported(file: Path, *arguments: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Export as Parquet; read rows and recipe."""
    done("export", "embeddings", file, *arguments)
    recipe = json.loads(pq.read_metadata(file).metadata[b"clipdb"])
    return pq.read_table(file).to_pylist(), recipe


@pytest.mark.parametrize(
    ("edit", "selectors", "heads"),
    [
        ("without", [], []),
        ("without", ["property=colour"], COLOUR),
        ("without", ["property=Color", "head=L2.H2"], [*COLOUR, (2, 2)]),
        ("without", ["head=l2h1,L1.H0", "head=L1.H0"], [(1, 0), (2, 1)]),
        ("without", ["layer=2", "head=L2.H1"], [(2, 0), (2, 1), (2, 2)]),
        ("without", ["layer=1-2"], ALL),
        ("without", ["labeller=vote"], [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]),
        ("mean", ["layer=1"], LAYER_1),
        ("mean", ["property=shape,counting"], [(1, 2), (2, 1)]),
        ("only", ["property=colour"], COLOUR),
        ("only", ["head=L2.H0", "layer=last1"], [(2, 0), (2, 1), (2, 2)]),
    ],
)
@pytest.mark.parametrize("normalise", [False, True])
def test_embeddings_equal_a_plain_loop(
    task: Task, tmp_path: Path, edit: str, selectors: list[str], heads: list[Head], normalise: bool
) -> None:
    options = [part for one in selectors for part in ("--only" if edit == "only" else "--without", one)]
    options += ["--how", edit] if edit == "mean" else []
    options += ["--normalise"] if normalise else []
    found, recipe = exported(tmp_path / "e.parquet", *options, "-i", task.path)

    expected = truth(task, heads, edit, normalise)
    assert [row["image_id"] for row in found] == list(expected)  # in the order of the index
    np.testing.assert_allclose([row["embedding"] for row in found], list(expected.values()), rtol=0, atol=2e-6)
    facts = {row[0]: row[1:] for row in rows(task.path, "select image_id, uri, label, split from images")}
    assert {row["image_id"]: (row["uri"], row["label"], row["split"]) for row in found} == {
        image_id: facts[image_id] for image_id in expected
    }

    names = [head_name(*head) for head in heads]
    formula = recipe.pop("formula")
    assert formula.startswith(FORMULAS[edit if heads else "none"])
    assert ("brought to unit length" in formula) == normalise and "\n" not in formula
    assert recipe == {
        "clipdb_version": version("clipdb"),
        "model_id": "one/a",
        "weights_sha256": "0" * 64,
        "without": [] if edit == "only" else selectors,
        "only": selectors if edit == "only" else [],
        "removed": [] if edit == "only" else names,
        "kept": names if edit == "only" else [],
        "how": {"mean": "mean", "only": None}.get(edit, "zero" if heads else None),
        "normalised": normalise,
        "images": len(expected),
        "left_out": len(task.built.ids) - len(expected),
    }


def test_an_array_has_the_same_numbers_and_its_rows_named_beside_it(task: Task, tmp_path: Path) -> None:
    options = ("--without", "layer=1", "--how", "mean", "-i", task.path)
    found, recipe = exported(tmp_path / "e.parquet", *options)
    said = done("export", "embeddings", tmp_path / "e.npy", *options)
    assert said == f"{tmp_path}/e.npy: embeddings of 58 images, 8 numbers each, without 3 heads: L1.H0, L1.H1, L1.H2\n"
    array, notes = np.load(tmp_path / "e.npy"), json.loads((tmp_path / "e.npy.json").read_text())
    assert array.dtype == np.float32 and array.flags.c_contiguous
    assert array.tolist() == [row["embedding"] for row in found]
    assert notes.pop("image_ids") == [row["image_id"] for row in found]
    assert notes == recipe
    assert sorted(file.name for file in tmp_path.iterdir()) == ["e.npy", "e.npy.json", "e.parquet"]


def test_images_that_lack_a_head_are_left_out_and_counted(task: Task, tmp_path: Path) -> None:
    result = clipdb("export", "embeddings", tmp_path / "e.parquet", "--without", "head=L1.H1", "-i", task.path)
    assert result.stderr == (
        "note: 2 images were left out, which have not been through all of these heads yet: "
        "`clipdb ingest images SRC --model one/a --layers 1` runs them\n"
    )
    assert pq.read_table(tmp_path / "e.parquet").num_rows == 58
    assert (
        "note" not in clipdb("export", "embeddings", tmp_path / "e.npy", "--without", "layer=2", "-i", task.path).stderr
    )


@pytest.mark.parametrize("layers", [[], ["--layers", "2"]])
def test_an_artefact_gives_the_same_file(
    task: Task, tmp_path: Path, layers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_shards, "SHARD_ROWS", 16)
    done("export", tmp_path / "artefact", *layers, "-i", task.path)
    assert len(list((tmp_path / "artefact" / "vectors" / "one__a.images").iterdir())) == 4
    options = ("--without", "property=colour", "--normalise") if not layers else ("--only", "layer=2")
    files = [tmp_path / "here.parquet", tmp_path / "there.parquet", tmp_path / "again.parquet"]
    for file, place in zip(files, (task.path, tmp_path / "artefact", task.path), strict=True):
        done("export", "embeddings", file, *options, "-i", place)
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.parametrize("size", [1, 7, 16, 60, 100])
def test_parts_change_nothing(task: Task, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_shards, "SHARD_ROWS", 16)
    done("export", tmp_path / "artefact", "-i", task.path)
    whole = exported(tmp_path / "whole.parquet", "--without", "layer=1", "-i", task.path)
    monkeypatch.setattr(embeddings, "_ROWS", size)
    for place in (task.path, tmp_path / "artefact"):
        rows, recipe = exported(tmp_path / "parts.parquet", "--without", "layer=1", "-i", place)
        groups = pq.ParquetFile(tmp_path / "parts.parquet").metadata
        assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) <= size
        assert recipe == whole[1] and len(rows) == len(whole[0])
        for row, other in zip(rows, whole[0], strict=True):
            np.testing.assert_allclose(row.pop("embedding"), other["embedding"], rtol=0, atol=1e-6)
            assert row == {name: value for name, value in other.items() if name != "embedding"}


def test_an_artefact_of_vectors_alone_knows_the_ids(task: Task, tmp_path: Path) -> None:
    done("export", tmp_path / "artefact", "--what", "vectors", "-i", task.path)
    found, _ = exported(tmp_path / "e.parquet", "--only", "head=L2.H1", "-i", tmp_path / "artefact")
    assert [row["image_id"] for row in found] == task.built.ids
    assert {(row["uri"], row["label"], row["split"]) for row in found} == {(None, None, None)}
    line = refused("export", "embeddings", tmp_path / "x.npy", "--without", "property=a", "-i", tmp_path / "artefact")
    advice = f"run `clipdb import {tmp_path / 'artefact'}`, then `clipdb label`"
    assert line == f"no head of one/a has a name yet: {advice}"


def test_columns_are_as_documented(task: Task, tmp_path: Path) -> None:
    exported(tmp_path / "e.parquet", "-i", task.path)
    schema = pq.read_schema(tmp_path / "e.parquet")
    assert [str(field.type) for field in schema] == [
        *["string"] * 4,
        f"fixed_size_list<element: float not null>[{EMBED}]",
    ]
    assert schema.names == ["image_id", "uri", "label", "split", "embedding"]
    assert all(field.metadata[b"description"] for field in schema)
    described = duckdb.sql(f"select column_type from (describe from '{tmp_path}/e.parquet')").fetchall()
    assert described == [("VARCHAR",)] * 4 + [("FLOAT[]",)]


def test_what_has_no_length_stays_so(tmp_path: Path) -> None:
    own = build_task(tmp_path / "own.clipdb")
    change(own.path, "update bases set basis = list_transform(basis, x -> 0::float) where (layer, head) = (2, 0)")
    found, _ = exported(tmp_path / "e.parquet", "--only", "head=L2.H0", "--normalise", "-i", own.path)
    assert {tuple(row["embedding"]) for row in found} == {(0.0,) * EMBED}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["e.npy", "--without", "property=colur"], "no head carries the property 'colur': there are colour"),
        (["e.npy", "--only", "layer=0"], "one/a has no vectors of layer 0: its layers here are 1, 2"),
        (["e.npy", "--only", "layer=9"], "layers 9: the model has 3 layers, 0 to 2"),
        (["e.npy", "--without", "head=L2.H9"], "one/a has no vectors of head L2.H9: its layers here are 1, 2"),
        (["e.npy", "--without", "labeller=me"], "'me' has named no head of one/a: labellers here are vote"),
        (["e.npy", "--without", "colour"], "'colour' selects no heads: write property=colour, layer=8-11, head="),
        (["e.npy", "--without", "rank=2"], "'rank=2' selects no heads: write property=colour"),
        (["e.npy", "--without", "head= "], "'head= ' selects no heads: write property=colour"),
        (["e.npy", "--without", "layer=1", "--only", "layer=2"], "--without and --only contradict each other"),
        (["e.npy", "--only", "layer=1", "--how", "zero"], "--how zero says what --without takes away"),
        (["e.npy", "--model", "no/ne"], "no model 'no/ne' in this index: it has one/a"),
        (["e.csv"], "e.csv: embeddings are written as FILE.parquet or FILE.npy"),
        (["nowhere/e.npy"], "nowhere/e.npy: there is no directory "),
        (["e.npy/e.npy"], "can't write "),
        (["nowhere/e.parquet"], "nowhere/e.parquet: there is no directory "),
    ],
)
def test_what_is_wrong_is_said_in_a_line(task: Task, tmp_path: Path, arguments: list[str], problem: str) -> None:
    (tmp_path / "e.npy").write_text("mine")
    line = refused("export", "embeddings", tmp_path / arguments[0], *arguments[1:], "-i", task.path)
    assert problem in line
    assert [file.name for file in tmp_path.iterdir()] == ["e.npy"]
    assert (tmp_path / "e.npy").read_text() == "mine"


@pytest.mark.parametrize(
    ("sql", "options", "problem"),
    [
        (
            "delete from labels",
            ("--without", "property=colour"),
            "no head of one/a has a name yet: run `clipdb label -i ",
        ),
        ("update head_statistics set mean = null", ("--without", "layer=2", "--how", "mean"), "mean is not stored"),
        (
            "update labels set layer = 0 where property = 'counting'",
            ("--only", "property=counting"),
            "no head meets all of these conditions and has vectors",
        ),
    ],
)
def test_an_index_that_lacks_what_is_needed_says_so(
    tmp_path: Path, sql: str, options: tuple[str, ...], problem: str
) -> None:
    own = build_task(tmp_path / "own.clipdb")
    change(own.path, sql)
    assert problem in refused("export", "embeddings", tmp_path / "e.parquet", *options, "-i", own.path)
    assert not (tmp_path / "e.parquet").exists()


def test_no_image_that_has_been_through_the_heads_is_an_error(tmp_path: Path) -> None:
    own = build_task(tmp_path / "own.clipdb")
    path = str(images_path(own.path, "one/a"))
    version = (
        lance.dataset(str(path)).delete(f"image_id not in ('{own.built.ids[-1]}')") and lance.dataset(str(path)).version
    )
    change(own.path, "update batches set lance_version = ? where kind = 'images'", version)
    line = refused("export", "embeddings", tmp_path / "e.npy", "--only", "layer=1", "-i", own.path)
    assert line.startswith("no image of one/a has been through all of these heads: select fewer, or run")
    assert not list(tmp_path.glob("*e.npy*"))


def test_one_of_several_models_is_named(two: Built, tmp_path: Path) -> None:
    line = refused("export", "embeddings", tmp_path / "e.npy", "-i", two.path)
    assert line == "this index has several models: choose one with --model (one/a, two/b)"
    _, recipe = exported(tmp_path / "e.parquet", "--model", "TWO/b", "--without", "property=texture", "-i", two.path)
    assert recipe["model_id"] == "two/b" and len(recipe["removed"]) == 6
