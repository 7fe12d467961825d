"""docs/own-data.md: its commands run one after another, and the first four answer the question."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from support import done, rows

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text(encoding="utf-8")


INSTEAD = {"ViT-B-32/mine": "clipdb-tiny/mine"}  # whose weights ship


def models() -> None:
    """Make the files of the models that the page names: the packaged weights, with a configuration beside them."""
    from clipdb import demo

    config = json.loads(demo.MODEL_CONFIG.read_text())
    for name in ("mine", "v1"):
        shutil.copy(demo.WEIGHTS, f"{name}.safetensors")
    Path("mynet.json").write_text(json.dumps(config))
    Path("mynet").mkdir()
    shutil.copy(demo.WEIGHTS, "mynet/open_clip_model.safetensors")
    Path("mynet/open_clip_config.json").write_text(json.dumps({"model_cfg": config}))


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clipdb import demo

    monkeypatch.chdir(tmp_path)
    demo.write_scenes(Path("clipdb-demo/scenes"), 200, 11)
    demo.write_scenes(Path("photos"), 20, 12)
    models()
    commands = [shlex.split(line)[1:] for line in re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)]
    printed = [done(*(INSTEAD.get(word, word) for word in command)) for command in commands]
    assert len(commands) == 8 and "added 200, skipped 0, failed 0" in printed[0]
    colours = rows(Path("own.clipdb"), "select count(distinct metadata->>'colour') from images")[0][0]
    before, after, control = (float(number) for number in re.findall(r"\b[01]\.\d{3}\b", printed[3])[:3])
    assert before > 0.9 and after < control - 0.2  # the heads named for it matter, as many others don't
    assert len(printed[4].splitlines()) == 2 + colours
    ingested = rows(Path("index.clipdb"), "select distinct model_id from models order by model_id")
    assert ingested == [("clipdb-tiny/mine",), ("mynet/local",), ("mynet/v1",)]
