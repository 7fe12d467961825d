from __future__ import annotations

import json
import shutil
from pathlib import Path

import lance
import pyarrow as pa
import pytest
from built_index import Built, Run
from click.testing import Result

from clipdb import __version__
from clipdb.schema import catalog, creation
from clipdb.schema.vectors import images_path, texts_path

LATER = "20270101T000000000000-0000"


def rows(result: Result) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def change(index: Path, *statements: str) -> None:
    with catalog.changing(index) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def copy(built: Built, tmp_path: Path) -> Built:
    """An index to break."""
    shutil.copytree(built.path, tmp_path / "copy.clipdb")
    return Built(tmp_path / "copy.clipdb", built.ids, built.vectors, built.files)


def test_version(run: Run) -> None:
    assert __version__ in run("-V").stdout and run("--version").exit_code == 0


def test_info_counts_what_is_there(run: Run) -> None:
    found = {(row["model_id"], row["what"], row["name"]): row["number"] for row in rows(run("info", "-f", "json"))}
    assert found == {
        (None, "images", None): 40,
        (None, "pool", "general"): 5,
        ("one/a", "images", None): 40,
        ("one/a", "heads", None): 6,
        ("one/a", "texts", None): 5,
        ("one/a", "spans", "general"): 30,
        ("one/a", "labels", "vote"): 5,
        ("one/a", "judgements", "vote"): 25,
    }
    assert "not independent" in run("info").stdout


def test_info_says_what_is_older_than_the_images(run: Run, copy: Built) -> None:
    change(copy.path, f"insert into batches select * replace ('{LATER}' as run) from batches where kind = 'images'")
    notes = {row["what"]: row["note"] for row in rows(run("info", "-f", "json", index=copy.path)) if row["model_id"]}
    assert notes["spans"] == "older than the images: run `clipdb span --pool general`"
    assert "older than the images" in str(notes["labels"])
    change(copy.path, f"update spans set run = '{LATER}'")
    notes = {row["what"]: row["note"] for row in rows(run("info", "-f", "json", index=copy.path)) if row["model_id"]}
    assert notes["spans"] is None and "older than" in str(notes["labels"])
    change(copy.path, f"update labels set run = '{LATER}'")
    notes = {row["what"]: row["note"] for row in rows(run("info", "-f", "json", index=copy.path)) if row["model_id"]}
    assert notes["labels"] is None
    assert notes["judgements"] == "not independent"
    change(copy.path, "update labels set property = 'sound' where (layer, head) = (1, 0)")
    notes = {row["what"]: row["note"] for row in rows(run("info", "-f", "json", index=copy.path)) if row["model_id"]}
    assert notes["judgements"] == "not independent; 1 current names not judged: run `clipdb judge --pool general`"


def test_info_counts_failures(run: Run, copy: Built) -> None:
    change(copy.path, "insert into image_failures values ('a.png', 'truncated', 'r')")
    assert "1 could not be read: see `clipdb query images-failed" in run("info", index=copy.path).stdout


def test_info_of_an_empty_index(run: Run, tmp_path: Path) -> None:
    creation.create(tmp_path / "new.clipdb")
    result = run("info", "-f", "json", index=tmp_path / "new.clipdb")
    assert result.exit_code == 0 and rows(result) == []


def test_models_lists_the_catalogue_and_the_index(run: Run, tmp_path: Path) -> None:
    found = {row["model_id"]: row for row in rows(run("models", "-f", "json"))}
    assert found["one/a"]["images"] == 40
    assert found["ViT-B-32/openai"]["layers"] == 12 and found["ViT-B-32/openai"]["images"] is None
    assert set(row["model_id"] for row in rows(run("models", "b-32/OPENAI", "-f", "json"))) >= {"ViT-B-32/openai"}
    assert "one/a" not in run("models", index=tmp_path / "none.clipdb").stdout
    failed = run("models", "zzzz")
    assert failed.exit_code == 1 and "no model has 'zzzz' in its name" in failed.stderr
    of_hub = run("models", "hf:ada/mine")
    assert of_hub.exit_code == 1 and "of the Hub's it lists classes: `clipdb models hf:`" in of_hub.stderr


def test_verify_passes_a_whole_index(run: Run, two: Built) -> None:
    result = run("verify", "-f", "json", index=two.path)
    assert result.exit_code == 0 and {row["result"] for row in rows(result)} == {"ok"}
    assert {row["model_id"] for row in rows(result)} == {None, "one/a", "two/b"}


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("update spans set layer = 9 where layer = 2 and head = 2", "spans are of known heads: 5 rows are not"),
        ("update labels set head = 7 where layer = 1 and head = 0", "labels are of known heads: 1 rows are not"),
        ("update bases set model_id = 'x/y' where layer = 2", "heads are of known models: 3 rows are not"),
        ("delete from texts where text = 'a grey wall'", "spans are known texts: 6 rows are not"),
        ("delete from pools", "pool texts are of known pools: 5 rows are not"),
        ("update batches set lance_version = 77 where kind = 'texts'", "texts: the committed version is there"),
        ("update batches set run = 'other'", "rows are of committed batches: 40 are not"),
        ("delete from images where label = 'odd'", "images: rows are in the catalog: 20 are not"),
        ("insert into images (image_id, uri) values ('ff', 'x')", "every image has vectors: 1 images have none"),
        (
            "delete from bases where (layer, head) = (2, 1)",
            "images: heads are those of the catalog: only on one side: L2.H1",
        ),
        (
            "update bases set basis = list_transform(basis, x -> x * 2) where (layer, head) = (1, 2)",
            "bases are orthonormal: not of L1.H2",
        ),
    ],
)
def test_verify_finds_what_is_wrong_in_the_catalog(run: Run, copy: Built, statement: str, problem: str) -> None:
    change(copy.path, statement)
    result = run("verify", index=copy.path)
    assert result.exit_code == 1 and problem in result.stderr and len(result.stderr.splitlines()) == 1
    assert "FAILED" in result.stdout


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("embedding", [0.5] * 8, "images: embeddings have length 1: 1 have not"),
        ("norm", float("inf"), "images: norms are finite and positive: 1 are not"),
        ("l2h1", [float("nan")] * 4, "images: head vectors are finite: not in L2.H1"),
        ("image_id", "again", "images: no row comes twice: 1 are too many"),
    ],
)
def test_verify_finds_what_is_wrong_in_the_vectors(
    run: Run, copy: Built, column: str, value: object, problem: str
) -> None:
    path = str(images_path(copy.path, "one/a"))
    table = lance.dataset(path).to_table()
    cells = table.column(column).to_pylist()
    cells[3] = cells[4] if value == "again" else value
    place = table.schema.get_field_index(column)
    table = table.set_column(place, table.schema.field(place), pa.array(cells, table.schema.field(place).type))
    version = lance.write_dataset(table, path, mode="overwrite").version
    change(copy.path, f"update batches set lance_version = {version} where kind = 'images'")
    result = run("verify", index=copy.path)
    assert result.exit_code == 1 and problem in result.stderr


def test_verify_of_an_index_whose_vectors_are_gone(run: Run, copy: Built) -> None:
    shutil.rmtree(texts_path(copy.path, "one/a"))
    result = run("verify", index=copy.path)
    assert result.exit_code == 1 and "texts: the committed version is there" in result.stderr


def test_null_directions_of_a_basis_are_whole(run: Run, copy: Built) -> None:
    zeroed = "list_transform(basis, (x, i) -> if(i % 4 = 0, 0, x))"
    change(copy.path, f"update bases set basis = {zeroed} where (layer, head) = (1, 2)")
    assert run("verify", index=copy.path).exit_code == 0


def test_upgrade_takes_the_index_either_way(run: Run, copy: Built, tmp_path: Path) -> None:
    for arguments in (("upgrade", str(copy.path)), ("upgrade", "-i", str(copy.path)), ("upgrade",)):
        result = run(*arguments, index=copy.path)
        assert result.exit_code == 0 and f"schema version {catalog.SCHEMA_VERSION}" in result.stdout
    assert run("upgrade", str(tmp_path / "none.clipdb")).exit_code == 1


def test_an_index_of_a_newer_version_is_refused(run: Run, copy: Built) -> None:
    change(copy.path, "insert into clipdb_schema values (9999, 'x', now())")
    for arguments in (("query", "heads"), ("info",), ("verify",), ("upgrade",)):
        result = run(*arguments, index=copy.path)
        assert result.exit_code == 1 and "9999" in result.stderr and len(result.stderr.splitlines()) == 1


def test_an_older_index_asks_for_the_upgrade(run: Run, copy: Built) -> None:
    with catalog.changing(copy.path) as connection:
        connection.execute("update clipdb_schema set version = 1")
        connection.execute("create table before as from heads; drop view heads; alter table before rename to heads")
        connection.execute("drop table bases; drop table head_statistics")
    result = run("query", "heads", index=copy.path)
    assert result.exit_code == 1 and f"clipdb upgrade {copy.path}" in result.stderr
    assert run("upgrade", index=copy.path).exit_code == 0
    assert run("query", "heads", index=copy.path).exit_code == 0
