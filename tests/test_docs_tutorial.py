"""docs/tutorial.md: its commands run, one after another, and print what the page shows."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support import rows
from tool_scripts import tool as load_tool

from clipdb.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# Another processor rounds otherwise: the last digits differ, and so may the order of what is nearly equal.
SAME_WORDS, CLOSE = 0.85, 0.02
EXPLAINED = 'clipdb explain scene-00271.png "a green object" --by property'


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("run_tutorial")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def written(tool: ModuleType, folder: Path, finished_demo: Path) -> str:
    """The page as the commands would write it now, run in this process; the demo has run already."""

    def start(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
        assert words[0] == "clipdb"
        if words[1:] == ["demo"]:
            shutil.copytree(finished_demo / "clipdb-demo" / "scenes", folder / "clipdb-demo" / "scenes")
            printed = (finished_demo / "printed.txt").read_text(encoding="utf-8")
            return 0, printed.replace(str(finished_demo.resolve()), str(folder.resolve())), ""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.delenv("CLIPDB_INDEX", raising=False)
            result = CliRunner().invoke(main, words[1:], env=environment)
        return result.exit_code, result.stdout, result.stderr

    return str(tool.write(PAGE, folder, start))


def outputs(page: str) -> dict[str, list[str]]:
    """Read the lines below each command, without a demo's seconds."""
    found = re.findall(r"^\$ (.+)\n((?:(?!\$ |```).*\n)*)", page, re.MULTILINE)
    return {command: re.sub(r" in \d+ s$", "", output, flags=re.MULTILINE).splitlines() for command, output in found}


def words(line: str) -> list[str]:
    """Read a line without its numbers, rules, and folders, which are shortened to the room there is."""
    line = re.sub(r"[…/]\S*/", "", line)
    return re.sub(r"-?\d+\.\d+(e-\d+)?", "#", line).replace("-", "").split()


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+(?!e)", line)]


def test_the_commands_print_what_stands_below_them(written: str) -> None:
    shown, printed = outputs(PAGE), outputs(written)
    assert shown.keys() == printed.keys() and len(shown) == 13
    pairs = [pair for command in shown for pair in zip(shown[command], printed[command], strict=True)]
    same = [pair for pair in pairs if words(pair[0]) == words(pair[1])]
    assert len(pairs) > 80 and len(same) >= SAME_WORDS * len(pairs), [pair for pair in pairs if pair not in same]
    for command in shown:
        assert [words(line) for line in shown[command][:1]] == [words(line) for line in printed[command][:1]]
    for one, other in same:
        np.testing.assert_allclose(numbers(one), numbers(other), atol=CLOSE, err_msg=one)


def test_photographs_and_the_weights_of_others_go_the_same_way(written: str, tool: ModuleType, folder: Path) -> None:
    assert set(tool.STANDS_IN) <= set(PAGE.split())
    assert rows(folder / "photos.clipdb", "select count(*) from images") == [(400,)]


def test_the_pictures_are_those_of_the_commands(written: str, tool: ModuleType, folder: Path) -> None:
    for sheet, picture in tool.PICTURES.items():
        assert f"](images/{picture})" in PAGE
        place = ROOT / "docs" / "images" / picture
        assert place.stat().st_size < 300_000
        with Image.open(place) as shown, Image.open(folder / sheet) as drawn:
            assert shown.size == drawn.size
            difference = np.asarray(shown.convert("RGB"), int) - np.asarray(drawn.convert("RGB"), int)
        assert np.mean(np.abs(difference).max(axis=-1) > 32) < 0.5  # a few pictures may have changed places


def test_what_the_page_says_of_the_answer(written: str, folder: Path) -> None:
    with (folder / "clipdb-demo" / "scenes" / "scenes.csv").open(encoding="utf-8", newline="") as lines:
        colours = {Path(row["file"]).name: row["colour"] for row in csv.DictReader(lines)}
    found = {
        which: [colours[name] for name in re.findall(r"scene-\d+\.png$", "\n".join(lines), re.MULTILINE)]
        for which, lines in outputs(written).items()
        if "-neighbours" in which
    }
    (alike,) = (names for command, names in found.items() if "property-neighbours" in command)
    (overall,) = (names for command, names in found.items() if "embedding-neighbours" in command)
    assert len(alike) == len(overall) == 9
    assert alike.count("green") == 9 and overall.count("green") < 5
    colour, total = (numbers(line)[0] for line in outputs(written)[EXPLAINED] if line.startswith(("colour ", "total ")))
    assert colour > 0.8 * total
