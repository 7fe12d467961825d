"""Explorers of real indexes, and pages as their parser sees them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import launched
from built_index import Built, build
from page_parts import Client, client_of

import clipdb
from clipdb.demo import write_scenes
from clipdb.explorer.site import Site


@pytest.fixture(scope="session")
def shown_index(ready_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `ready_index` that explorers may keep open: tests open the other with DuckDB alone."""
    return Path(shutil.copytree(ready_index, tmp_path_factory.mktemp("shown") / "ready.clipdb", symlinks=True))


@pytest.fixture(scope="session")
def explorer(shown_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The explorer of `shown_index`."""
    site = Site(shown_index, thumbnails=tmp_path_factory.mktemp("thumbnails") / "thumbnails.db")
    with client_of(site) as client:
        yield client


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An index of two models whose files are no pictures."""
    return build(tmp_path_factory.mktemp("two") / "two.clipdb", models=("one/a", "two/b"))


@pytest.fixture(scope="session")
def new_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that no index has."""
    folder = tmp_path_factory.mktemp("new")
    write_scenes(folder, 1, seed=4242)
    return next(folder.glob("*.png"))


@pytest.fixture(scope="session")
def image_ids(explorer: Client) -> list[str]:
    """The first images of `ready_index`."""
    return [row[0] for row in explorer.get("/api/queries/images", params={"k": 5}).json()["rows"]]


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """One browser for all tests."""
    with launched() as started:
        yield started


@pytest.fixture(scope="session")
def frozen(shown_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of an export of `shown_index` that has the heads of the last layer, below a folder of a host."""
    folder = tmp_path_factory.mktemp("host")
    export = tmp_path_factory.mktemp("export") / "heads"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        clipdb.export(shown_index, export, layers="last1", progress=False)
        clipdb.export_pages(export, folder / "some where" / "pages", images=130, progress=False)
    return folder / "some where" / "pages"
