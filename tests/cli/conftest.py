from __future__ import annotations

from pathlib import Path

import pytest
from built_index import Built, Run
from click.testing import CliRunner, Result

from clipdb.cli import main


@pytest.fixture
def run(built: Built) -> Run:
    """Run the command line on the index of one model, or the one that ``index=`` gives."""

    def invoke(*arguments: str, index: Path | None = None, **more: object) -> Result:
        environment = {"CLIPDB_INDEX": str(index or built.path)}
        return CliRunner().invoke(main, list(arguments), env=environment, **more)  # type: ignore[arg-type]

    return invoke
