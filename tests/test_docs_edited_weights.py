"""docs/edited-weights.md: every command runs, in the order of the page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import done, rows

PAGE = (Path(__file__).parents[1] / "docs" / "edited-weights.md").read_text(encoding="utf-8")
SMALLER = {"demo": ["--scenes", "40", "--no-names"], "ablate": ["--images", "20"]}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, over fewer scenes."""
    outputs: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        patch.setenv("COLUMNS", "120")
        for line in re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE):
            program, *arguments = shlex.split(line)
            if program == "export":
                patch.setenv(*arguments[0].split("=", 1))
                continue
            assert program == "clipdb", line
            fewer = ["--images", "20"] if "--target" in arguments and arguments[0] == "export" else []
            outputs[line] = done(*arguments, *SMALLER.get(arguments[0], []), *fewer)
        yield outputs


def test_the_card_has_what_ablate_measures(printed: dict[str, str]) -> None:
    ablated = next(output for line, output in printed.items() if line.startswith("clipdb ablate"))
    before, _, causal = re.findall(r"\b[01]\.\d{3}\b", ablated)[:3]
    card = Path("edited/README.md").read_text()
    assert f"| all heads | {before} |" in card and f"| without these heads | {causal} |" in card


def test_heads_that_were_taken_out_write_nothing(printed: dict[str, str]) -> None:
    named = "select layer, head from head_properties where property = 'background'"
    silent = "select layer, head from heads where model_id = 'edited/local' and total_variance < 1e-12"
    assert sorted(rows(Path("clipdb-demo/demo.clipdb"), named)) == sorted(rows(Path("edited.clipdb"), silent))
    assert "L3.H1" in printed["clipdb query drift -i edited.clipdb"]


def test_the_python_of_the_page_runs(printed: dict[str, str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {})
    assert Path("shape.safetensors").is_file()
