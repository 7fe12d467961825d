"""Weights are never loaded from where an artefact says that they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from artefacts import contents, edit, with_cell
from support import MODEL, clipdb, done, random_weights, refused, rows

import clipdb as package
from clipdb.errors import ClipdbError

ASK = ("query", "text-heads", "--text", "a text that nobody embedded", "-i")
CHECKPOINTS = "select arguments->>'$.checkpoint' from runs where command = 'ingest images'"


@pytest.fixture(scope="module")
def made(pictures: list[Path], model: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.clipdb"
    done("ingest", "images", *pictures[:4], *model, "--workers", 0, "-i", path)
    return path


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "own.clipdb"))


@pytest.fixture
def exported(index: Path) -> Path:
    done("export", index.parent / "exported", "-i", index)
    return index.parent / "exported"


def test_an_export_does_not_say_where_weights_were(exported: Path, index: Path, weights: Path, tmp_path: Path) -> None:
    assert rows(index, CHECKPOINTS) == [(str(weights),)]
    assert str(weights.parent).encode() not in (exported / "relations" / "runs.parquet").read_bytes()
    before = contents(index)
    assert "rows added 0" in done("import", exported, "-i", index)
    assert contents(index) == before  # which still says it
    done("import", exported, "-i", tmp_path / "other.clipdb")
    done("export", tmp_path / "again", "-i", tmp_path / "other.clipdb")
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (exported / "manifest.json").read_bytes()


def test_what_names_weights_all_the_same_is_not_believed(
    exported: Path, index: Path, weights: Path, tmp_path: Path
) -> None:
    """The file is there and would do; what fails without it would go well with it."""
    named = f'{{"model": "{MODEL}", "checkpoint": "{weights}", "nested": {"[" * 300_000 + "]" * 300_000}}}'
    edit(exported, "relations/runs.parquet", lambda runs: with_cell(runs, "arguments", named))
    no_weights = "clipdb-tiny has no weights 'random'"
    assert no_weights in refused(*ASK, exported)
    other = tmp_path / "other.clipdb"
    done("import", exported, "-i", other)
    assert rows(other, CHECKPOINTS) == [(None,)]
    assert no_weights in refused(*ASK, other)
    assert "L3.H4" in done(*ASK, index)


def test_a_run_of_others_hides_no_weights_of_ours(exported: Path, index: Path, tmp_path: Path) -> None:
    def newer(runs: pa.Table) -> pa.Table:
        return with_cell(runs, "run", "99990101T000000000000-abcd")

    edit(exported, "relations/runs.parquet", newer)
    said = done(*ASK, index, "-f", "json")
    done("import", exported, "-i", index)
    assert len(rows(index, CHECKPOINTS)) == 2
    assert done(*ASK, index, "-f", "json") == said


def test_weights_that_are_elsewhere_now_are_named(
    exported: Path, index: Path, weights: Path, pictures: list[Path], tmp_path: Path
) -> None:
    other = tmp_path / "other.clipdb"
    done("import", exported, "-i", other)
    wrong = random_weights(tmp_path / "wrong.safetensors", seed=5)
    text = "a text that nobody embedded"
    questions = (
        ("query", "text-heads", text),
        ("query", f"select * from text_heads('{MODEL}', '{text}')"),
        ("explain", pictures[0], text, "--device", "cpu"),
        ("segment", pictures[0], "--text", text, "--device", "cpu"),
    )
    for question in questions:
        said = done(*question, "-f", "json", "-i", index)
        for place in (exported, other):
            line = refused(*question, "-i", place)
            assert line.startswith("clipdb-tiny has no weights 'random'") and line.endswith("or give --checkpoint FILE")
            line = refused(*question, "--checkpoint", wrong, "-i", place)
            assert line.startswith(f"{place} has a {MODEL} with other weights (sha256 ")
            assert line.endswith("give the file that it was ingested with, --checkpoint FILE")
            assert "no checkpoint at nowhere.pt" in refused(*question, "--checkpoint", "nowhere.pt", "-i", place)
            assert done(*question, "-f", "json", "--checkpoint", weights, "-i", place) == said
    with package.open(exported, checkpoint=str(weights)) as db, package.open(index) as ours:
        assert db.rows("text_heads", text=text) == ours.rows("text_heads", text=text)
    with package.open(exported, checkpoint=wrong) as db, pytest.raises(ClipdbError, match="with other weights"):
        db.rows("text_heads", text=text)
    assert clipdb("query", "heads", "--checkpoint", weights, "-i", index).exit_code == 2  # which runs no model


@pytest.mark.parametrize(("relation", "column"), [("runs", "arguments"), ("models", "preprocess")])
def test_json_that_is_none_is_said_in_a_line(exported: Path, weights: Path, relation: str, column: str) -> None:
    edit(exported, f"relations/{relation}.parquet", lambda table: with_cell(table, column, '{"a": ' + "[" * 1000))
    needs = ("--checkpoint", weights) if relation == "models" else ()  # else the runs are asked for it
    for question in ((*ASK, exported, *needs), ("query", f"select {column} from {relation}", "-i", exported)):
        line = refused(*question)
        assert line.startswith(f"{exported} can't be read: get the artefact again (") and "Malformed JSON" in line
        assert len(line) < 600
