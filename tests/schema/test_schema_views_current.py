"""Views in indexes that were made before them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clipdb.api.sharing import upgrade
from clipdb.errors import ClipdbError
from clipdb.schema import catalog as catalogs
from clipdb.schema import view_files, views
from clipdb.schema.catalog import CATALOG


def forget() -> None:
    for cached in (views.load, view_files.digest, view_files.sources):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the views' folder, to change."""

    copied = Path(shutil.copytree(view_files.FOLDER, tmp_path / "views"))
    monkeypatch.setattr(view_files, "FOLDER", copied)
    forget()
    yield copied
    monkeypatch.undo()
    forget()


CARRIED = """-- How many heads carry each property.
-- column property: Name
-- column heads: How many have it
select property, count(*) as heads from head_properties group by property
"""


def test_a_view_that_is_new_answers_in_an_index_made_before(index: Path, folder: Path) -> None:
    (folder / "carried.sql").write_text(CARRIED)
    (folder / "labeller_rank.sql").write_text("-- Changed.\n-- param labeller: any\n42\n")
    forget()
    question = "select count(*), labeller_rank('vote') from carried"
    for _ in range(2):  # a reader has its own, and leaves the catalog as it was
        with catalogs.connect(index) as reader:
            assert reader.execute(question).fetchall() == [(0, 42)]
            assert not view_files.are_current(reader)
    with catalogs.changing(index):
        pass
    with duckdb.connect(str(index / CATALOG), read_only=True) as bare:
        assert bare.execute(question).fetchall() == [(0, 42)]
        comments = "select comment from duckdb_columns() where table_name = 'carried' order by column_index"
        assert bare.execute(comments).fetchall() == [("Name",), ("How many have it",)]
        assert view_files.are_current(bare)


def test_upgrade_makes_views_anew(index: Path, folder: Path) -> None:
    (folder / "carried.sql").write_text(CARRIED)
    forget()
    assert [upgrade(index), upgrade(index)] == [True, False]
    with duckdb.connect(str(index / CATALOG), read_only=True) as bare:
        assert bare.execute("from carried").fetchall() == []


def test_two_views_of_one_name_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "ccs.sql").write_text(CARRIED)
    monkeypatch.setattr(view_files, "folders", lambda kind: (tmp_path / "theirs",))
    with pytest.raises(ClipdbError, match=r"theirs/ccs\.sql has the name of another view"):
        view_files.digest()


def test_a_view_of_ones_own_that_has_no_columns_is_named(index: Path, folder: Path) -> None:
    (folder / "carried.sql").write_text("-- Names.\nselect name from heads")
    forget()
    with pytest.raises(ClipdbError, match="the view carried has no columns: write a line"):
        catalogs.connect(index)
