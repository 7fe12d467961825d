"""`clipdb query --untrusted`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from built_index import Built
from support import clipdb, done, refused

REFUSED = "untrusted SQL may not read 'read_text': it reads the index's tables and vectors"


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "markdown"])
def test_it_prints_as_other_sql(built: Built, form: str) -> None:
    sql = "select image_id, width, label, metadata, 0.5 as half, [1, 2] as list, null as nothing from images order by 1"
    for flags in ((sql, "--untrusted"), ("--untrusted", sql)):
        assert done("query", *flags, "-f", form, "-i", built.path) == done("query", sql, "-f", form, "-i", built.path)


def test_options_of_output_hold(built: Built, tmp_path: Path) -> None:
    flags = ("--untrusted", "--columns", "name,layer", "-n", 2, "-i", built.path, "-o", tmp_path / "heads.json")
    done("query", "select layer, name, name from heads order by all", *flags)
    assert json.loads((tmp_path / "heads.json").read_text()) == [
        {"name": "L1.H0", "layer": 1},
        {"name": "L1.H1", "layer": 1},
    ]
    said = clipdb("query", "--untrusted", "from range(2000)", "-f", "csv", "-i", built.path)
    assert said.stderr == "note: cut after 1000 rows: untrusted SQL gets 1,000 rows and 5 MB at most\n"
    assert len(said.stdout.splitlines()) == 1001
    assert clipdb("query", "--untrusted", "from heads where false", "-i", built.path).stderr == "No rows.\n"


def test_what_it_is_not_for_is_refused(built: Built) -> None:
    for arguments, line in (
        (["from read_text('/etc/passwd')"], REFUSED),
        (["select 1", "--files"], "--untrusted reads no files and runs no models: leave --files and --checkpoint out"),
        (["heads"], "--untrusted is for SQL, and this is the name of a query, which is trusted"),
        (["property", "colour"], "--untrusted is for SQL, and this is the name of a query, which is trusted"),
    ):
        assert refused("query", "--untrusted", *arguments, "-i", built.path) == line


def test_image_vectors_are_of_the_model_that_is_named(two: Built) -> None:
    sql = "select count(*) as n from image_vectors"
    assert done("query", "--untrusted", sql, "--model", "two/b", "-f", "csv", "-i", two.path) == "n\n40\n"
    assert "two/b" in refused("query", "--untrusted", sql, "-i", two.path)
