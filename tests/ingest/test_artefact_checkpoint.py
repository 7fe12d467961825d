"""Weights are never loaded from where an artefact says that they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from artefacts import contents, edit, with_cell
from support import MODEL, done, refused, rows

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
