"""docs/edited-weights.md: every command runs, in the order of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_page import ran, text_of
from support import rows


def smaller(arguments: list[str]) -> list[str]:
    if arguments[0] == "demo":
        return [*arguments, "--scenes", "40", "--no-names"]
    measures = arguments[0] == "ablate" or (arguments[0] == "export" and "--target" in arguments)
    return [*arguments, "--images", "20"] if measures else arguments


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, over fewer scenes."""
    with ran("edited-weights.md", tmp_path_factory.mktemp("page"), smaller) as outputs:
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
    (block,) = re.findall(r"```python\n(.*?)```", text_of("edited-weights.md"), re.DOTALL)
    exec(block, {})
    assert Path("shape.safetensors").is_file()
