from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clipdb.cli import main

sys.path.append(str(Path(__file__).parents[1] / "queries"))

from built_index import Built, Run, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One model."""
    return build(tmp_path_factory.mktemp("one") / "one.clipdb")


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two models over the same images."""
    return build(tmp_path_factory.mktemp("two") / "two.clipdb", models=("one/a", "two/b"))


@pytest.fixture
def run(built: Built) -> Run:
    """Run the command line on the index of one model, or the one that ``index=`` gives."""

    def invoke(*arguments: str, index: Path | None = None, **more: object) -> Result:
        environment = {"CLIPDB_INDEX": str(index or built.path)}
        return CliRunner().invoke(main, list(arguments), env=environment, **more)  # type: ignore[arg-type]

    return invoke
