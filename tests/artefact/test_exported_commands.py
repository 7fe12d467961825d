"""The command line on artefacts: what reads one, what refuses to, and what is said of one that is damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from built_index import SPANS, Built
from support import done, refused
from written_artefact import change_manifest

import clipdb


def test_what_the_command_exports_is_read(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "heads", "-i", built.path)
    for arguments in (("heads",), ("contributions", built.ids[3], "--text", SPANS[0])):
        ask = ("query", *arguments, "-f", "json")
        assert done(*ask, "-i", tmp_path / "heads") == done(*ask, "-i", built.path)


def test_the_model_runs_on_what_it_lacks(pictures: list[Path], tmp_path: Path) -> None:
    index = tmp_path / "scenes.clipdb"
    done("ingest", "images", *pictures[:4], "--model", "clipdb-tiny/scenes", "--workers", 0, "-i", index)
    done("export", tmp_path / "heads", "-i", index)
    ask = ("query", "text-heads", "--text", "a red circle", "-f", "json")
    assert done(*ask, "-i", tmp_path / "heads") == done(*ask, "-i", index)


def test_a_picture_of_nowhere_needs_its_file(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "heads", "--without-images", "-i", built.path)
    said = refused("segment", built.ids[0], "--text", SPANS[0], "-i", tmp_path / "heads")
    assert said == f"where the image {built.ids[0][:12]} came from is not known here: give the path of its file"


def test_commands_that_read_take_it(built: Built, shards: Path) -> None:
    for arguments in (("heads",), ("neighbours", built.ids[2], "--head", "L2.H0"), ("select count(*) from texts",)):
        ask = ("query", *arguments, "-f", "json")
        assert done(*ask, "-i", shards) == done(*ask, "-i", built.path)
    explained = ("explain", built.ids[2], SPANS[0], "-f", "csv")
    assert done(*explained, "-i", shards) == done(*explained, "-i", built.path)
    held = [json.loads(done("info", "-f", "json", "-i", place)) for place in (built.path, shards)]
    assert [(one["what"], one["number"]) for one in held[0]] == [(one["what"], one["number"]) for one in held[1]]
    assert '"images": 40' in done("models", "one", "-f", "json", "-i", shards)


@pytest.mark.parametrize("verb", ["ingest texts --pool scenes", "span", "label", "judge", "verify", "upgrade"])
def test_commands_that_write_refuse_it(shards: Path, verb: str) -> None:
    before = sorted(shards.rglob("*"))
    assert refused(*verb.split(), "-i", shards) == (
        f"{shards} is an artefact, made for reading: `clipdb import {shards} -i INDEX` makes an index of it"
    )
    assert refused(*verb.split(), "-i", "https://example.org/heads") == (
        "https://example.org/heads is a URL, made for reading: get the artefact, and `clipdb import DIR -i INDEX`"
    )
    assert sorted(shards.rglob("*")) == before


def test_an_index_with_a_manifest_beside_it_stays_an_index(built: Built, own_shards: Path, tmp_path: Path) -> None:
    index = Path(shutil.copytree(built.path, tmp_path / "index"))
    shutil.copy(own_shards / "manifest.json", index)
    with clipdb.open(index) as db:
        assert db.sql("select count(*) from batches").fetchall() == [(2,)]


def _html(folder: Path) -> None:
    (folder / "manifest.json").write_text("<!doctype html><p>Not here")


def _newer(folder: Path) -> None:
    change_manifest(folder, format_version=2)


def _huge(folder: Path) -> None:
    with (folder / "manifest.json").open("rb+") as file:
        file.truncate(2**40)  # which takes no room


def _missing(folder: Path) -> None:
    (folder / "relations/spans.parquet").unlink()


def _short(folder: Path) -> None:
    file = folder / "relations/spans.parquet"
    file.write_bytes(file.read_bytes()[:-20])


def _fewer(folder: Path) -> None:
    file = folder / "relations/spans.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)


def _other(folder: Path) -> None:
    file = folder / "relations/labels.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["status"]), file)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_html, "manifest.json is not JSON"),
        (_newer, "has format version 2 and this clipdb knows 1: upgrade clipdb"),
        (_huge, "manifest.json is larger than any that `clipdb export` writes: get the artefact again"),
        (_missing, "relations/spans.parquet"),
        (_short, "relations/spans.parquet"),
        (_fewer, "relations/spans.parquet has 29 rows, and manifest.json says 30: get the artefact again"),
        (_other, '"status" not found'),
    ],
)
def test_damage_is_said_in_a_line(own_shards: Path, damage: Callable[[Path], None], problem: str) -> None:
    damage(own_shards)
    said = refused("query", "heads", "-i", own_shards)
    assert problem in said and str(own_shards) in said


def test_vectors_that_are_not_as_said(built: Built, own_shards: Path) -> None:
    first, last = (own_shards / f"vectors/one__a.images/0000{shard}.parquet" for shard in (0, 2))
    ask = ("query", "neighbours", built.ids[2], "--head", "L2.H0", "-i", own_shards)
    whole, table = last.read_bytes(), pq.read_table(last)
    pq.write_table(table.slice(1), last)
    assert f"{last} has 7 rows, and manifest.json says 8: get the artefact again" == refused(*ask)
    pq.write_table(table.drop_columns(["l2h0"]), last)
    assert f"{own_shards} can't be read: get the artefact again" in refused(*ask)
    last.write_bytes(whole[:4] + bytes(500) + whole[504:])
    assert f"{own_shards} can't be read: get the artefact again" in refused(*ask)
    last.write_bytes(whole[:200])
    assert str(last) in refused(*ask)
    last.unlink()
    assert str(last) in refused(*ask)
    last.write_bytes(whole)
    pq.write_table(pq.read_table(first), first, store_schema=False)  # which has the sizes of vectors
    assert f"{first} has not the columns of vectors of images: get the artefact again" == refused(*ask)
    assert done("query", "heads", "-f", "csv", "-i", own_shards)


def test_no_artefact_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is not an index: it has no catalog.duckdb" in refused("query", "heads", "-i", tmp_path / "empty")
    assert "no index at" in refused("query", "heads", "-i", tmp_path / "none")


def test_the_manifest_itself_is_named(shards: Path) -> None:
    said = refused("query", "heads", "-i", shards / "manifest.json")
    assert said == f"{shards / 'manifest.json'} is a file of an artefact: name the directory, {shards}"


@pytest.mark.parametrize("name", ["st*r", "wh?"])
def test_what_duckdb_would_take_for_a_pattern(own_shards: Path, tmp_path: Path, name: str) -> None:
    said = refused("query", "heads", "-i", own_shards.rename(tmp_path / name))
    assert said == f"{tmp_path / name} can't be read: DuckDB takes * and ? for patterns: rename the directory"
