"""Entry points of other packages are found wherever Python finds them, though it isn't asked as a rule."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

from clipdb._util.extensions import extensions

METADATA = "Metadata-Version: 2.1\nName: clipdb-mine\nVersion: 1\n"
OURS = "[console_scripts]\nmine = mine:main\n\n[clipdb.queries]\nmine = mine.queries\n"
OTHERS = "[console_scripts]\nclipdb.mine = clipdb.mine:main\n\n[another.clipdb]\nclipdb = clipdb\n"


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    extensions.cache_clear()
    yield
    extensions.cache_clear()


def found() -> list[tuple[str, str, str]]:
    """Return clipdb's answer, which has to be Python's."""
    plain = [
        entry
        for distribution in importlib.metadata.distributions()
        for entry in distribution.entry_points
        if entry.group.startswith("clipdb.")
    ]
    ours = [(one.group, one.name, one.value) for one in extensions()]
    assert sorted(ours) == sorted((one.group, one.name, one.value) for one in plain)
    return ours


def installed(place: Path, entry_points: str, kind: str = "clipdb_mine-1.dist-info") -> Path:
    information = place / kind
    information.mkdir(parents=True)
    name = "METADATA" if kind.endswith(".dist-info") else "PKG-INFO"
    (information / name).write_text(METADATA)
    (information / "entry_points.txt").write_text(entry_points)
    return place


@pytest.mark.parametrize("kind", ["clipdb_mine-1.dist-info", "clipdb_mine.egg-info", "mine-1.egg/EGG-INFO"])
def test_entry_points_of_an_installed_package_are_found(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, OURS, kind)
    monkeypatch.syspath_prepend(tmp_path / Path(kind).parent)
    assert ("clipdb.queries", "mine", "mine.queries") in found()


def test_those_in_the_current_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(installed(tmp_path, OURS))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert ("clipdb.queries", "mine", "mine.queries") in found()


def test_those_in_an_archive_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("clipdb_mine-1.dist-info/METADATA", METADATA)
        archive.writestr("clipdb_mine-1.dist-info/entry_points.txt", OURS)
    monkeypatch.syspath_prepend(tmp_path / "mine.zip")
    assert ("clipdb.queries", "mine", "mine.queries") in found()


def test_those_that_a_finder_of_its_own_knows_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = installed(tmp_path, OURS)

    class Finder(MetaPathFinder):
        def find_distributions(self, context: object = None) -> Iterator[importlib.metadata.Distribution]:
            yield importlib.metadata.Distribution.at(place / "clipdb_mine-1.dist-info")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert ("clipdb.queries", "mine", "mine.queries") in found()


def test_python_is_not_asked_where_no_package_has_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, OTHERS)
    (tmp_path / "no_entry_points-1.dist-info").mkdir()
    (tmp_path / "a_file-1.egg-info").write_text(METADATA)
    places = [tmp_path, *sys.path, tmp_path / "nowhere"]
    assert found() == []
    extensions.cache_clear()
    monkeypatch.setattr(sys, "path", [str(place) for place in places])
    monkeypatch.setattr("clipdb._util.extensions.entry_points", lambda: pytest.fail("Python was asked"))
    assert list(extensions()) == []
