"""What is exported and imported is what was there: every value, every bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from artefacts import MODEL, TABLES, contents, export, files, make, sha
from support import clipdb, done, rows, verified

from clipdb.artefact.merge import import_artefact
from clipdb.schema import creation


def test_a_new_index_is_the_one_that_was_exported(index: Path, exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "deep" / "other.clipdb"
    line = done("import", exported, "-i", other)
    assert "vectors added 8, skipped 0" in line
    assert contents(other) == contents(index)
    verified(other)
    assert [one.name for one in other.parent.iterdir()] == ["other.clipdb"]
    again = export(other, tmp_path / "again")
    assert files(again) == files(exported)


def test_what_is_there_is_skipped(index: Path, exported: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(index, tmp_path / "own.clipdb"))
    for _ in range(2):
        assert "rows added 0" in (line := done("import", "artefact", exported, "-i", own))
        assert "vectors added 0, skipped 8\n" in line
    assert contents(own) == contents(index)
    ((arguments, added),) = rows(own, "select any_value(arguments), sum(added) from runs where command like 'import%'")
    assert json.loads(arguments)["artefact"] == str(exported) and added == 0


def test_fresh_spans_are_not_called_old_after_an_import(exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.clipdb"
    done("import", exported, "-i", other)
    assert "older" not in done("info", "-i", other)


@pytest.mark.parametrize("order", [("relations", "vectors"), ("vectors", "relations")])
def test_relations_and_vectors_may_come_apart(order: tuple[str, str], index: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.clipdb"
    for what in order:
        result = clipdb("import", export(index, tmp_path / what, what=what), "-i", other)
        assert result.exit_code == 0, result.output
        noted = "5 images are known by their ids alone" in result.stderr
        assert noted == (what == "vectors" and order[0] == "vectors")
    assert contents(other) == contents(index)
    verified(other)


def test_an_artefact_without_sources_takes_nothing_away(index: Path, tmp_path: Path) -> None:
    bare = export(index, tmp_path / "bare", images=False)
    own = Path(shutil.copytree(index, tmp_path / "own.clipdb"))
    done("import", bare, "-i", own)
    assert contents(own) == contents(index)
    other = tmp_path / "other.clipdb"
    done("import", bare, "-i", other)
    assert {uri for (uri,) in rows(other, "select uri from images")} == {""}
    assert export(other, tmp_path / "again", images=False) and files(tmp_path / "again") == files(bare)
    done("import", export(index, tmp_path / "full"), "-i", other)
    assert contents(other) == contents(index)


def test_layers_that_come_later_fill_what_was_null(index: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.clipdb"
    for layers in ("1", "2"):
        result = clipdb("import", export(index, tmp_path / f"layer {layers}", layers=layers), "-i", other)
        assert result.exit_code == 0 and result.stderr == ""  # every image has both now
    found, expected = contents(other), contents(index)
    for kind in ("images", "texts"):
        assert found[f"{MODEL} {kind}"]["rows"] == expected[f"{MODEL} {kind}"]["rows"]
    assert found["spans"] == expected["spans"]
    assert [row[:5] for row in found["heads"]] == [row[:5] for row in expected["heads"]]
    verified(other)


def test_heads_of_one_side_alone(tmp_path: Path) -> None:
    """Images of each side lack the other's layer; texts need no model to have both."""
    one = make(tmp_path / "one.clipdb", range(4), layers=(1,))
    other = export(make(tmp_path / "other.clipdb", range(4, 7), layers=(2,)), tmp_path / "other")
    result = clipdb("import", other, "-i", one)
    assert result.exit_code == 0, result.output
    assert "only images of the artefact have vectors of layer 2\n" in result.stderr
    assert "only images of the index have vectors of layer 1\n" in result.stderr
    both = contents(make(tmp_path / "both.clipdb", range(7), layers=(1, 2)))
    found = contents(one)
    for number in range(7):
        row, whole = (held[f"{MODEL} images"]["rows"][sha(f"image {number}")] for held in (found, both))
        lacking = "l2" if number < 4 else "l1"
        assert row == {name: None if name.startswith(lacking) else value for name, value in whole.items()}
    assert found[f"{MODEL} texts"]["rows"] == both[f"{MODEL} texts"]["rows"]
    verified(one)


def test_an_import_needs_no_torch(exported: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from clipdb.cli import main\n"
        f"try: main(['import', {str(exported)!r}, '-i', {str(tmp_path / 'new.clipdb')!r}])\n"
        "except SystemExit as error: assert not error.code\n"
        "assert 'lance' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_progress_counts_every_row_that_is_read(index: Path, exported: Path, tmp_path: Path) -> None:
    """An index that is there is written to after all was checked; one that is not is written as it is checked."""
    from clipdb.artefact.merge import Progress

    totals: list[int] = []
    batches: list[int] = []
    progress = Progress(totals.append, batches.append)
    creation.create(tmp_path / "empty.clipdb")
    assert import_artefact(tmp_path / "empty.clipdb", exported, progress=progress).vectors.added == 8
    assert totals == [16] and sum(batches) == 16
    imported = import_artefact(tmp_path / "new.clipdb", exported, progress=progress)
    assert totals == [16, 8] and sum(batches) == 24
    assert imported.vectors.added == 8 and not imported.notes
    held = contents(index)
    assert imported.rows.added == sum(len(held[name]) for name in TABLES if name not in ("models", "heads"))
