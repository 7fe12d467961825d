"""Named queries that are called in the wrong way, or in another spelling."""

from __future__ import annotations

from pathlib import Path

from support import change, clipdb, done, refused
from task_index import build_task


def test_what_a_query_needs_and_is_not_given_is_wrong_usage(ready_index: Path) -> None:
    result = clipdb("query", "head", "-i", ready_index)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.endswith("Error: head needs --head: The head, as L11.H3.\n")


def test_empty_arguments_are_named_as_they_were_typed(ready_index: Path, pictures: list[Path]) -> None:
    for arguments, name in ((("", "a text"), "IMAGE"), ((pictures[0], " "), "TEXT")):
        result = clipdb("explain", *arguments, "-i", ready_index)
        assert (result.exit_code, result.stderr) == (1, f"Error: {name} is empty\n")


def test_american_spelling_of_queries() -> None:
    british, american = (done("query", name, "--help") for name in ("neighbours", "neighbors"))
    assert american == british and "Usage:" in british


def test_american_spelling_of_options(own_index: Path, tmp_path: Path) -> None:
    assert "by vote" in done("label", "--labeler", "vote", "--pool", "scenes", "-i", own_index)
    done("export", tmp_path / "out", "--license", "cc-by-4.0", "-i", own_index)
    assert 'license: "cc-by-4.0"' in (tmp_path / "out" / "README.md").read_text()


def test_charts_belong_to_named_queries(ready_index: Path) -> None:
    result = clipdb("query", "select 1", "--plot", "x.png", "-i", ready_index)
    assert result.exit_code == 2 and "Try 'main query --help'" in result.stderr
    assert "--plot belongs to named queries: rows of SQL aren't drawn" in result.stderr


def test_a_command_that_reads_as_sql_is_pointed_out(ready_index: Path) -> None:
    assert "`clipdb explain --help`" in refused("query", "explain", "-i", ready_index)


def test_ablate_says_how_many_images_it_leaves_out(tmp_path: Path) -> None:
    task = build_task(tmp_path / "task.clipdb")
    ask = ("query", "ablate", "--heads", "L1.H0", "--template", "{}", "-i", task.path)
    assert "note: 3 of 60 images have no label and are left out\n" in clipdb(*ask).stderr
    assert "note: 3 of 60 images have no label or no colour" in clipdb(*ask, "--groups", "colour").stderr
    change(task.path, "update images set label = (select min(label) from images) where label is null")
    assert "left out" not in clipdb(*ask).stderr
