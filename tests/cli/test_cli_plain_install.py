"""Without the extras: every verb works or names the one that it lacks, in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import random_weights

from clipdb._util.installing import pip_install

EXTRAS = ("torch", "torchvision", "open_clip", "safetensors", "PIL", "matplotlib", "pandas", "polars")
EXTRAS += ("openai", "pydantic", "httpx2")
RUN = """
import json, sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, *more):
        return None if name in json.loads(sys.argv[1]) else super().find_spec(name, *more)

sys.meta_path = [Without if one is PathFinder else one for one in sys.meta_path]
from click.testing import CliRunner
from clipdb.cli import main
for arguments in json.loads(sys.argv[2]):
    result = CliRunner().invoke(main, arguments)
    told = result.stderr if isinstance(result.exception, SystemExit | None) else repr(result.exception)
    print(json.dumps([result.exit_code, told, "torch" in sys.modules]))
"""
INGEST, PLOT, LLM = (f"{{}} is not installed: run {pip_install(one)}" for one in ("ingest", "plot", "llm"))


def outcomes(commands: list[list[str]], missing: tuple[str, ...] = EXTRAS) -> list[tuple[int, str, bool]]:
    """Run commands in one process that lacks some modules: exit code, stderr, and whether torch was imported."""
    script = [sys.executable, "-c", RUN, json.dumps(missing), json.dumps(commands)]
    ran = subprocess.run(script, capture_output=True, text=True, check=True)
    return [tuple(json.loads(line)) for line in ran.stdout.splitlines()]


def test_every_verb_names_the_extra_that_it_lacks(own_index: Path, pictures: list[Path], tmp_path: Path) -> None:
    index, image, new = str(own_index), str(pictures[0]), str(tmp_path / "new.clipdb")
    server = ["--llm-model", "m", "--base-url", "http://localhost:1/v1", "--pool", "scenes", "-i", index]
    torch, pictured, charted = INGEST.format("torch"), PLOT.format("PIL"), PLOT.format("matplotlib")
    expected: dict[tuple[str, ...], str | None] = {
        ("demo", str(tmp_path / "demo")): torch,
        ("ingest", "images", image, "--model", "clipdb-tiny/scenes", "-i", new): torch,
        ("ingest", "texts", "--pool", "scenes", "-i", new): torch,
        ("span", "--pool", "scenes", "-i", index): torch,
        ("label", "--pool", "scenes", "-i", index): None,
        ("label", "--labeller", "llm", *server): LLM.format("pydantic"),
        ("judge", "--pool", "scenes", "-i", index): None,
        ("judge", "--judge", "llm", *server): LLM.format("pydantic"),
        ("query", "heads", "-i", index): None,
        ("query", "heads", "-i", index, "-o", str(tmp_path / "heads.parquet")): None,
        ("query", "scoreboard", "-i", index, "--plot", str(tmp_path / "chart.png")): charted,
        ("query", "neighbours", image, "--head", "L4.H0", "-i", index): None,
        ("query", "neighbours", image, "--head", "L4.H0", "--sheet", str(tmp_path / "s.png"), "-i", index): pictured,
        ("query", "neighbours", __file__, "--head", "L4.H0", "-i", index): torch,
        ("query", "text-neighbours", "a zebra", "--head", "L4.H0", "-i", index): torch,
        ("query", "from text_neighbours(null, 'L4.H0', 'a zebra')", "-i", index): torch,
        ("explain", image, "a zebra", "-i", index): torch,
        ("segment", image, "--text", "a zebra", "-i", index): torch,
        ("segment", image, "--text", "a zebra", "-o", str(tmp_path / "map.png"), "-i", index): torch,
        ("ablate", "--heads", "L4.H0", "-i", index): torch,
        ("export", str(tmp_path / "export"), "-i", index): None,
        ("export", str(tmp_path / "more"), "--thumbnails", "-i", index): INGEST.format("PIL"),
        ("import", str(tmp_path / "export"), "-i", new): None,
        ("info", "-i", index): None,
        ("models", "-i", index): None,
        ("verify", "-i", index): None,
        ("upgrade", "-i", index): None,
    }
    for command, (code, told, _) in zip(expected, outcomes([*map(list, expected)]), strict=True):
        problem = expected[command]
        if problem is None:
            assert code == 0, (command, told)
        else:
            assert (code, told) == (1, f"Error: {problem}\n"), command


@pytest.mark.parametrize("missing", [("open_clip",), ("PIL",)])
def test_torch_alone_is_not_enough(missing: tuple[str, ...], pictures: list[Path], tmp_path: Path) -> None:
    command = ["ingest", "images", str(pictures[0]), "--model", "clipdb-tiny/scenes", "-i", str(tmp_path / "x.clipdb")]
    assert outcomes([command], missing) == [(1, f"Error: {INGEST.format(missing[0])}\n", False)]


def test_what_is_mistyped_is_said_before_torch_is_imported(scenes: Path, tmp_path: Path) -> None:
    folder, new = str(scenes), ["-i", str(tmp_path / "new.clipdb")]
    wrong = {
        ("nosuch", "--model", "ViT-B-32/openai"): "no such file or folder: nosuch",
        (folder, "--model", "ViT-B-32"): "'ViT-B-32' is not a model name: write ARCH/PRETRAINED",
        (folder, "--model", "VitB32/openai"): "open_clip has no architecture 'VitB32' (did you mean ViT-B-32,",
    }
    found = outcomes([["ingest", "images", *one, *new] for one in wrong], ())
    for message, (code, told, torch) in zip(wrong.values(), found, strict=True):
        assert code == 1 and told.startswith(f"Error: {message}") and told.count("\n") == 1 and not torch
    assert not list(tmp_path.iterdir())


def test_architectures_are_those_of_open_clip(tmp_path: Path) -> None:
    import open_clip

    from clipdb.models.model_name import architectures

    random_weights(tmp_path / "x.safetensors", 1)  # which makes the demo's known to open_clip
    assert {*architectures(), "clipdb-tiny"} <= set(open_clip.list_models())
    shipped = {path.stem for path in Path(open_clip.__file__).with_name("model_configs").glob("*.json")}
    assert set(architectures()) == shipped & set(open_clip.list_models())
