"""docs/extending.md: its package, written down and installed as the page says, and every command on the page."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from forked import forked
from PIL import Image
from support import MODEL

import clipdb

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ (clipdb .*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's package in a folder of its own, as pip would put it."""
    source, site = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("site")
    for name, content in FILES:
        place = source / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        site,
        source,
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return site


def run(site: Path, folder: Path, index: Path, *command: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    assert program == "clipdb"
    environment = os.environ | {"CLIPDB_INDEX": str(index)}
    return forked(*arguments, environment=environment, folder=folder, first=site, anew=("clipdb",))


def python(site: Path, code: str) -> str:
    """Run code where the page's package is installed, and return what it prints."""
    ran = forked(first=site, anew=("clipdb",), code=code)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_kind_of_the_page_has_a_file() -> None:
    kinds = set(re.findall(r"entry-points\.\"clipdb\.(\w+)\"", PAGE))
    assert kinds == {
        "queries", "charts", "views", "labellers", "judges", "functions", "formats", "sources", "towers"
    }  # fmt: skip
    assert len(FILES) == len(kinds) + 1 and len(COMMANDS) == len(kinds) - 1


def test_every_command_of_the_page_runs(installed: Path, own_index: Path, pictures: list[Path], tmp_path: Path) -> None:
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number, picture in enumerate(pictures[:3]):
            with Image.open(picture) as opened:
                opened.rotate(90).save(tmp_path / "turned.png")  # so that the index hasn't seen it
            archive.write(tmp_path / "turned.png", f"folder/{number}.png")
        archive.writestr("folder/broken.png", b"no image")
        archive.writestr("notes.txt", b"no image")
    told = {}
    for command in COMMANDS:
        as_json = ["-f", "json"] if 'query "' in command else []
        # The index has one model, of random weights.
        ran = run(installed, tmp_path, own_index, *shlex.split(command.replace("ViT-B-32/openai", MODEL)), *as_json)
        assert ran.returncode == 0, (command, ran.stderr)
        told[command] = ran.stdout
    (longest,) = (json.loads(told[command]) for command in COMMANDS if "longest" in command)
    assert len(longest) == 3 and longest[0]["length"] >= longest[1]["length"] >= longest[2]["length"] > 0
    (shares,) = (json.loads(told[command]) for command in COMMANDS if "property_variance" in command)
    assert sum(row["heads"] for row in shares) == 24
    with Image.open(tmp_path / "strong.png") as chart:
        assert chart.width == 1200 and len(chart.getcolors(1 << 20) or []) > 10
    with clipdb.open(own_index) as db:
        zipped = db.sql("select uri from images where contains(uri, '.zip#') order by uri").fetchall()
        failed = db.sql("select uri from image_failures").fetchall()
    assert zipped == [(f"{tmp_path}/photos.zip#folder/{number}.png",) for number in range(3)]
    assert failed == [(f"{tmp_path}/photos.zip#folder/broken.png",)]
    again = f"from clipdb.ingest.images.sources.uri import read_uri; print(read_uri({zipped[0][0]!r}))"
    assert python(installed, again) == f"{ZipFile(tmp_path / 'photos.zip').read('folder/0.png')!r}\n"
    page = (tmp_path / "heads.html").read_text()
    assert page.startswith("<table>\n<tr><th>model_id</th>") and page.count("<tr>") == 6


def test_what_the_package_brings_is_listed(installed: Path, own_index: Path, tmp_path: Path) -> None:
    assert "strong-spans" in run(installed, tmp_path, own_index, "clipdb", "query", "--list").stdout
    for verb, name in (("label", "keyword"), ("judge", "mentioned")):
        assert name in run(installed, tmp_path, own_index, "clipdb", verb, "--help").stdout
    families = "from clipdb.models.towers import families; print(*[family.__name__ for family in families()])"
    own = "Dinov2 ModifiedResNet OpenClipClassToken OpenClipTransformer TimmTransformer TransformersModel"
    assert python(installed, families) == f"{own} Beit\n"


TOWER = """
import torch
from open_clip.timm_model import TimmModel
from random_towers import Network, unsettle

from clipdb.models.decomposition import Decomposer
from clipdb.models.proof import reconstruction_errors
from clipdb.models.towers import adapt

visual = TimmModel("beit_base_patch16_224", embed_dim=64, image_size=224)
visual.trunk.blocks = visual.trunk.blocks[:2]
model = Network(unsettle(visual))
pictures = torch.randn(2, 3, 224, 224)
tower = adapt(model, "a/b")
decomposer = Decomposer(tower, [0, 1])
print(tower.name, reconstruction_errors(decomposer, pictures, model.encode_image(pictures))["trunk"])
y, tokens = decomposer(pictures)[2][1], decomposer.by_token(pictures, [1])[2][1]
print(tuple(tokens.shape), float((tokens.sum(dim=2) - y).norm() / y.norm()))
"""


def test_the_pages_tower_adds_up_and_so_do_its_tokens(installed: Path) -> None:
    added_up, tokens = python(installed, TOWER).splitlines()
    name, error = added_up.split()
    shape, apart = tokens.rsplit(" ", 1)
    assert name == "timm_beit" and float(error) < 5e-6
    assert shape == "(2, 12, 197, 64)" and float(apart) < 5e-6


def test_a_name_that_is_taken_is_refused(installed: Path, own_index: Path, tmp_path: Path) -> None:
    (entries,) = installed.glob("clipdb_mine-*.dist-info/entry_points.txt")
    written = entries.read_text()
    try:
        entries.write_text(written.replace("keyword =", "vote ="))
        ran = run(installed, tmp_path, own_index, "clipdb", "label", "--labeller", "vote")
    finally:
        entries.write_text(written)
    assert ran.returncode == 1 and len(ran.stderr.splitlines()) == 1, ran.stderr
    taken = "the entry point vote of clipdb.labellers (clipdb_mine.keyword) has the name of another, "
    assert f"{taken}clipdb.ingest.names.labellers.vote: rename it in clipdb-mine, or uninstall that" in ran.stderr
