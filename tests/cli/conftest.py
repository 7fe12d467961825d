from __future__ import annotations

from pathlib import Path

import pytest
from built_index import Built, Run
from click.testing import CliRunner, Result
from published_files import LABELS, SPANS
from support import done

from clipdb.cli import main


@pytest.fixture
def run(built: Built) -> Run:
    """Run the command line on the index of one model, or the one that ``index=`` gives."""

    def invoke(*arguments: str, index: Path | None = None, **more: object) -> Result:
        environment = {"CLIPDB_INDEX": str(index or built.path)}
        return CliRunner().invoke(main, list(arguments), env=environment, **more)  # type: ignore[arg-type]

    return invoke


@pytest.fixture(scope="session")
def names_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spans and names of two heads, without model and images, beside the files. Don't write to it."""
    folder = tmp_path_factory.mktemp("named")
    for kind, content in (("spans", SPANS), ("labels", LABELS)):
        (folder / f"{kind}.csv").write_text(content)
        done("import", kind, folder / f"{kind}.csv", "--source", "web", "-i", folder / "named.clipdb")
    return folder / "named.clipdb"
