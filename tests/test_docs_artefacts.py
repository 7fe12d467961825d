"""docs/artefacts.md: every block runs, in the order of the page, and does what the page says of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from range_server import serve
from support import done, rows, verified

import clipdb
from clipdb.artefact.reading.remote import load_httpfs
from clipdb.errors import ClipdbError

PAGE = (Path(__file__).parents[1] / "docs" / "artefacts.md").read_text(encoding="utf-8")
SCENES = 100  # of the demo's 400, which take their time
HUB = "hf://datasets/you/clip-heads"
ATLAS = "embedding-atlas"
BIN = Path(sys.executable).parent


class Page:
    """What was run of the page: what each command printed, and the names that each block of Python left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: dict[str, str] = {}
        self.names: dict[str, dict[str, Any]] = {}

    def run(self, hub: str | None) -> None:
        section = ""
        for heading, language, block in re.findall(r"^## ([^\n]+)|```(\w+)\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE):
            section = heading or section
            if language == "console":
                for line in block.splitlines():
                    assert line.startswith("$ "), line
                    self._command(line.removeprefix("$ "), hub)
            elif language == "python":
                self.names[section] = {}
                exec(block, self.names[section])
            elif language == "sql":
                self.printed[section] = self._shell([str(BIN / "duckdb"), "-csv"], block)
            else:
                assert not language, f"nothing here runs {language}"

    def _command(self, line: str, hub: str | None) -> None:
        program, *arguments = shlex.split(line)
        if program == ATLAS or program == "hf" or (HUB in line and hub is None):
            return  # each has a test of its own
        if program != "clipdb":
            self.printed[line] = self._shell(["bash", "-ec", line])
            return
        arguments = [str(hub) if one == HUB else one for one in arguments]
        self.printed[line] = done(*arguments, *(["--scenes", SCENES, "--no-names"] if arguments == ["demo"] else []))

    def _shell(self, command: list[str], text: str | None = None) -> str:
        environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        ran = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """All of the page, run in a folder of its own; what it reads on the Hub is served from there."""
    import datasets

    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch, serve(folder) as served:
        patch.chdir(folder)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
        ran = Page(folder)
        ran.run(f"{served.url}/heads" if _reads_urls() else None)
        yield ran


def _reads_urls() -> bool:
    try:
        with duckdb.connect() as connection:
            load_httpfs(connection, "https://example.org")
    except ClipdbError:
        return False
    return True


def test_an_export_has_the_files_that_are_listed(page: Page) -> None:
    listed = re.findall(r"^\| `([\w./]+)`", PAGE, re.MULTILINE)
    patterns = [re.sub("TABLE|MODEL", "*", one) for one in listed]
    assert len(patterns) == 6 and all(list((page.folder / "heads").glob(one)) for one in patterns)
    assert 'license: "cc-by-4.0"' in (page.folder / "heads" / "README.md").read_text()
    images = pq.read_table(page.folder / "names" / "relations" / "images.parquet", columns=["uri", "metadata"])
    assert set(images["uri"].to_pylist()) == {""} and set(images["metadata"].to_pylist()) == {None}


def test_the_upload_is_one_that_the_tool_knows() -> None:
    line = re.search(r"^\$ (hf upload .*)$", PAGE, re.MULTILINE)
    assert line is not None
    helped = subprocess.run([BIN / "hf", "upload", "--help"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"hf upload \[OPTIONS\] REPO_ID \[LOCAL_PATH\] \[PATH_IN_REPO\]", helped)
    options = re.findall(r"--[\w-]+", line[1])
    assert options and all(option in helped for option in options)


def test_the_hub_answers_as_the_folder_does(page: Page) -> None:
    asked = [line for line in page.printed if HUB in line]
    if not asked:
        pytest.skip("DuckDB's extension httpfs is not here")
    assert len(asked) == 3
    assert page.printed[f"clipdb query heads -i {HUB}"] == page.printed["clipdb query heads -i heads/"] != ""


def test_an_import_is_the_index_again_and_a_merge_has_all_images(page: Page) -> None:
    verified(Path("mine.clipdb"))
    count = "select count(*), count(distinct image_id) from images"
    assert rows(Path("mine.clipdb"), count) == [(SCENES, SCENES)]
    assert rows(Path("ada.clipdb"), count) == [(70, 70)]
    assert rows(Path("ada.clipdb"), "select count(*) from spans") == [(24 * 20,)]
    verified(Path("ada.clipdb"))


def test_a_property_is_gone_from_what_is_exported_without_its_heads(page: Page) -> None:
    accuracy = page.names["Embeddings out"]["accuracy"]
    assert accuracy["whole.parquet"] > 0.9 and accuracy["without-background.parquet"] < 0.6
    with clipdb.open("heads") as db:
        asked = {"property": "background", "target": "background", "template": "a picture with {} behind"}
        ablated = db.query.ablate(**asked).fetchall()[0]
    assert tuple(accuracy.values()) == pytest.approx(ablated[3:5], abs=1e-12)


def test_layers_add_up_and_have_unit_length(page: Page) -> None:
    array, notes = np.load("layer-4.npy"), json.loads(Path("layer-4.npy.json").read_text())
    assert notes["kept"] == [f"L4.H{head}" for head in range(6)] and len(notes["image_ids"]) == len(array) == SCENES
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-6)


def test_tools_read_the_same(page: Page) -> None:
    pandas, polars, hub = (page.names[name] for name in ("pandas", "polars", "`datasets`"))
    spans = rows(Path("clipdb-demo/demo.clipdb"), "select layer, head, text from spans where rank = 1 order by all")
    assert [(*key, text) for key, text in sorted(pandas["first"].items())] == spans
    assert hub["spans"].num_rows == len(pandas["spans"]) == 20 * len(spans)
    assert polars["heads"]["heads"].sum() == 24
    np.testing.assert_array_equal(np.stack(pandas["vectors"].l3h0), polars["matrix"])
    assert polars["matrix"].dtype == np.float16
    assert pandas["recipe"] == polars["recipe"] and pandas["recipe"]["removed"]
    assert max(hub["pictures"][0]["image"].size) == 64
    np.testing.assert_array_equal(
        hub["matrix"], np.stack(pl.read_parquet("without-background.parquet")["embedding"].to_numpy())
    )
    printed = page.printed["The `duckdb` shell"].splitlines()
    assert printed[0] == "name,property,share" and len(printed) == 6 + 6 + 2
    assert printed[7].startswith("scene-") and printed[7].endswith(",1.0")
    assert printed[-1].strip('"') == pandas["recipe"]["formula"]


def test_an_atlas_is_given_what_it_reads(page: Page) -> None:
    """As Embedding Atlas 0.26 loads it: pandas reads the file, and gives a row an id of its own.

    ``--vector`` makes ``np.array(..., dtype=float32)`` of each value and a matrix of them all; ``--image`` takes bytes,
    or a dictionary that has them as ``bytes``.
    """
    for file, options in _maps():
        frame = pd.read_parquet(file)
        assert not {"projection_x", "projection_y", "__neighbors", "__row_index__", "FILE_NAME"} & set(frame.columns)
        matrix = np.array([np.array(value, dtype=np.float32) for value in frame[options.pop("--vector")]])
        assert matrix.shape in {(SCENES, 128), (SCENES, 32)} and np.isfinite(matrix).all()
        for column in options.values():
            assert all(picture["bytes"].startswith(b"\xff\xd8\xff") for picture in frame[column])


@pytest.mark.skipif(shutil.which(ATLAS) is None, reason="embedding-atlas is not installed")
def test_an_atlas_is_drawn(page: Page) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(page.folder / "cache")}
    for number, (file, options) in enumerate(_maps()):
        command = [ATLAS, file, *sum(options.items(), ()), "--export-application", f"atlas-{number}"]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=environment)
        drawn = pq.read_table(f"atlas-{number}/data/dataset.parquet")
        assert drawn.num_rows == SCENES and {"image_id", "projection_x", "projection_y"} <= set(drawn.column_names)
        assert np.isfinite(drawn["projection_x"].to_numpy()).all()


def _maps() -> list[tuple[str, dict[str, str]]]:
    """List what the page draws: the file and the options of each command."""
    lines = re.findall(rf"^\$ {ATLAS} (\S+) (.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    return [(file, dict(re.findall(r"(--\S+) (\S+)", options))) for file, options in lines]
