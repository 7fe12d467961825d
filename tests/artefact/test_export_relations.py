"""`clipdb export`: relations, choices and the manifest, read with nothing but DuckDB and pyarrow."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from built_index import Built
from support import change, clipdb, done, refused, rows

from clipdb.artefact.format import RELATIONS, Manifest
from clipdb.artefact.manifest import read_manifest
from clipdb.schema import tables
from clipdb.schema.migrations import SCHEMA_VERSION

ONE, TWO = "one/a", "two/b"
ELSEWHERE = "f" * 64


@pytest.fixture
def odd(two: Built, tmp_path: Path) -> Path:
    """An index of its own of two models, with values that formats are known to bend."""
    index = Path(shutil.copytree(two.path, tmp_path / "odd.clipdb"))
    texts = ["", " ", "a\nb\tc", "'\"\\", "naïve 🦊 \u2028", "null", "NaN", "-0"]
    for number, text in enumerate(texts):
        change(index, "insert into texts values (?, ?)", hashlib.sha256(text.encode()).hexdigest(), text)
        change(index, "insert into image_failures values (?, ?, ?)", f"/x/{number}{text}", text, f"run-{number % 2}")
    for number, value in enumerate((float("nan"), float("inf"), -0.0, 5e-324, 0.1, None)):
        change(
            index,
            "insert into labels values (?, 2, 2, 'general', ?, 'run-0', ?, ?, ?, null, null, 'ok', null, ?)",
            *(ONE, f"llm:{number}", texts[number], value, texts[number], "2026-07-29 12:34:56.789123+00"),
        )
    for share, chance in ((0.1, None), (float("inf"), 5e-324)):
        change(
            index,
            "insert into label_scores values (?, 2, 2, 'general', 'zero-shot', 'run-0', ?, ?, ?)",
            *(ONE, f"property {share}", share, chance),
        )
    change(index, "insert into pairs select min(image_id), max(image_id), 'colour', ' ', 'é', 'run-0' from images")
    ends = """'[{"text": "é \\"", "weight": 5e-324}]', -0.0, '[]', 0.0, null, 'run-0'"""
    change(
        index,
        f"insert into directions values (?, 2, 2, 'weights', 'general', 1, 0.1, [-0.0, 'nan'::float], {ends})",
        ONE,
    )
    effect = "'label', 'a {}', 'zero', 'none', 'all', 'class', ' ', 'é', 5, 1, 0.1, -0.0, 0, 5e-324, -1, null, null"
    change(index, f"insert into effects values (?, 'L2.H2', {effect}, null, null, null, null, 0, -1, '', 'run-0')", ONE)
    mapped = "insert into aligners values (?, ?, [-0.0, 1e-45, 'nan', 'inf'], 0.1, 1e-6, 40, 'run-0')"
    change(index, mapped, TWO, ONE)
    change(index, "update head_statistics set mean = [-0.0, 1e-45, 'nan', 'inf'] where model_id = ?", ONE)
    change(index, "delete from bases where model_id = ?", ONE)
    change(index, "update head_statistics set total_variance = null where model_id = ? and head = 1", TWO)
    for run, command, arguments in (
        ("run-0", "label", '{"model" : "one/a",  "z": [1, null, 1e400], "a": "\\u00e9"}'),
        ("run-1", "ingest images", '{"sources": ["/home/somebody/pictures"]}'),
        ("run-2", "other", "null"),
    ):
        times = ("2026-01-01 00:00:00+05:30", None)
        change(index, "insert into runs values (?, ?, ?, null, null, ?, ?, 1, 0, 9223372036854775807)", run, command,
               arguments, *times)  # fmt: skip
    return index


def exported(index: Path, *options: object) -> Path:
    place = index.with_suffix(".export")
    done("export", place, "-i", index, *options)
    return place


def manifest(place: Path) -> Manifest:
    return read_manifest((place / "manifest.json").read_text(), str(place))


def read(place: Path, table: str, sql: str = "*") -> list[tuple]:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(f"select {sql} from read_parquet('{place}/relations/{table}.parquet')").fetchall()


def test_rows_come_out_as_they_are(odd: Path) -> None:
    place = exported(odd)
    assert sorted(file.stem for file in (place / "relations").iterdir()) == sorted(RELATIONS)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{odd}/catalog.duckdb' as db (read_only); set timezone = 'UTC'")
        for table in RELATIONS:
            file = f"read_parquet('{place}/relations/{table}.parquet')"
            keys = ", ".join(column.name for column in tables.metadata.tables[table].primary_key)
            ours = connection.execute(f"from {file}").fetchall()
            theirs = connection.execute(f"from db.{table} order by {keys}").fetchall()
            assert repr(ours) == repr(theirs), table  # which tells -0.0 from 0.0, and finds nan equal
            kinds = [row[:2] for row in connection.execute(f"describe from {file}").fetchall()]
            assert kinds == [row[:2] for row in connection.execute(f"describe db.{table}").fetchall()], table
            assert ours or table in ("components", "image_failures")


def test_comments_and_what_may_be_null_are_in_the_files(built: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "-i", built.path)
    for table in RELATIONS:
        schema = pq.read_schema(tmp_path / "out" / "relations" / f"{table}.parquet")
        relation = tables.metadata.tables[table]
        assert schema.metadata[b"description"].decode() == relation.comment
        assert schema.names == [column.name for column in relation.columns]
        for field, column in zip(schema, relation.columns, strict=True):
            assert field.metadata[b"description"].decode() == column.comment
            assert field.nullable == column.nullable


def test_the_manifest_says_what_is_there(two: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    done("export", place, "-i", two.path, "--licence", "CC-BY-4.0", "--citation", "Somebody, 2026")
    told = manifest(place)
    assert (told.what, told.licence, told.citation) == ("all", "CC-BY-4.0", "Somebody, 2026")
    assert told.schema_version == SCHEMA_VERSION
    present = {file.relative_to(place).as_posix() for file in place.rglob("*") if file.is_file()}
    assert {file.path for file in told.files} == present - {"manifest.json"}
    for file in told.files:
        content = (place / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        if file.path.endswith(".parquet"):
            assert file.rows == pq.read_metadata(place / file.path).num_rows
    (one, other) = told.models
    assert (one.model_id, other.model_id) == (ONE, TWO)
    assert (one.layers, one.images, one.texts, one.preprocess, one.weights_sha256) == ((1, 2), 40, 5, {}, "0" * 64)


def test_relations_only_and_vectors_only(two: Built, tmp_path: Path) -> None:
    done("export", tmp_path / "r", "-i", two.path, "--what", "relations")
    done("export", tmp_path / "v", "-i", two.path, "--what", "vectors")
    assert sorted(one.name for one in tmp_path.joinpath("r").iterdir()) == ["README.md", "manifest.json", "relations"]
    assert [file.name for file in manifest(tmp_path / "r").of("relation")] == list(RELATIONS)
    assert {(model.images, model.texts) for model in manifest(tmp_path / "r").models} == {(0, 0)}
    assert [file.name for file in manifest(tmp_path / "v").of("relation")] == [
        *("models", "heads", "components", "aligners", "texts")
    ]
    assert len(manifest(tmp_path / "v").of("images")) == 2


def test_one_model_leaves_nothing_of_the_others(odd: Path) -> None:
    extra = "insert into images values (?, '/secret/of/two.png', 1, 1, 'PNG', null, null, null)"
    change(odd, extra, ELSEWHERE)  # of no model that is exported
    change(odd, "update spans set run = 'run-2' where model_id = ?", TWO)
    place = exported(odd, "--model", "ONE/a")
    for table in ("models", "heads", "spans", "labels", "judgements"):
        assert {row[0] for row in read(place, table, "model_id")} == {ONE}
        assert len(read(place, table)) == rows(odd, f"select count(*) from {table} where model_id = ?", ONE)[0][0]
    assert read(place, "aligners") == []
    assert [model.model_id for model in manifest(place).models] == [ONE]
    assert not list(place.glob("vectors/two*"))
    held = {row[0] for row in read(place, "images", "image_id")}
    assert len(held) == 40 and ELSEWHERE not in held
    assert {row[0] for row in read(place, "runs", "run")} == {"run-0"}  # which named heads of it
    assert {row[0] for row in read(place, "image_failures", "run")} == {"run-0"}
    assert len(read(place, "texts")) == rows(odd, "select count(*) from texts")[0][0]


def test_layers_leave_nothing_of_the_others(two: Built, tmp_path: Path) -> None:
    place = tmp_path / "out"
    done("export", place, "-i", two.path, "--layers", "last2", "--model", ONE, "--model", TWO)
    assert {row[0] for row in read(place, "heads", "layer")} == {1, 2}
    done("export", place, "-i", two.path, "--layers", "2", "--replace")
    for table in ("heads", "spans", "labels", "judgements"):
        assert {row[0] for row in read(place, table, "layer")} == {2}
        assert len(read(place, table)) == rows(two.path, f"select count(*) from {table} where layer = 2")[0][0]
    assert [model.layers for model in manifest(place).models] == [(2,), (2,)]
    names = pq.read_schema(place / "vectors" / "one__a.images" / "00000.parquet").names
    assert names == ["image_id", "embedding", "norm", "l2h0", "l2h1", "l2h2"]
    assert len(read(place, "images")) == 40


def test_without_images_no_place_is_told(odd: Path) -> None:
    place = exported(odd, "--without-images")
    told = manifest(place)
    assert "image_failures" not in [file.name for file in told.files] and told.models[0].images == 40
    assert set(read(place, "images", "uri, metadata")) == {("", None)}
    assert {row[0] for row in read(place, "images", "label")} == {"even", "odd"}
    assert set(read(place, "runs", "arguments")) == {(None,)}
    folder = str(odd.parent)
    for file in place.rglob("*"):
        if file.is_file():
            content = file.read_bytes() if file.suffix != ".parquet" else _plain(file)
            assert folder.encode() not in content and b"somebody" not in content, file


def test_a_note_says_that_places_are_told(odd: Path, tmp_path: Path) -> None:
    notes = {
        options: clipdb("export", tmp_path / str(number), "-i", odd, *options).stderr
        for number, options in enumerate([(), ("--without-images",), ("--what", "vectors")])
    }
    assert ["--without-images keeps that back" in note for note in notes.values()] == [True, False, False]


def _plain(file: Path) -> bytes:
    return json.dumps(pq.read_table(file).drop_columns([]).to_pylist(), default=str).encode()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--model", "three/c"], "no model 'three/c' in this index: it has one/a, two/b"),
        (["--layers", "0"], "--layers 0: of one/a this index has layers 1, 2"),
        (["--layers", "9"], "--layers 9: the model has 3 layers, 0 to 2"),
        (["--layers", "x"], "--layers x: write last4, all, 8-11 or 0,5,10-11 (counted from 0)"),
    ],
)
def test_what_is_not_there_is_refused(two: Built, tmp_path: Path, options: list[str], problem: str) -> None:
    assert refused("export", tmp_path / "out", "-i", two.path, *options) == problem
    assert list(tmp_path.iterdir()) == []


def test_there_must_be_an_index_with_a_model(tmp_path: Path) -> None:
    assert "no index at" in refused("export", tmp_path / "out", "-i", tmp_path / "none.clipdb")
    from clipdb.schema import creation

    creation.create(tmp_path / "empty.clipdb")
    assert "has no models yet" in refused("export", tmp_path / "out", "-i", tmp_path / "empty.clipdb")
    assert [one.name for one in tmp_path.iterdir()] == ["empty.clipdb"]
