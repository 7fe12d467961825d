"""docs/own-data.md: its commands run one after another, and those of the demo's table answer the question."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import done, rows
from transformers_models import save, save_without_texts

PAGE = (Path(__file__).parents[1] / "docs" / "own-data.md").read_text(encoding="utf-8")


# What stands in: a model whose weights ship, and the pool whose words it knows.
INSTEAD = {
    "ViT-B-32/mine": "clipdb-tiny/mine",
    "ViT-L-14/laion2b_s32b_b82k": "clipdb-tiny/scenes",
    "hf:openai/clip-vit-base-patch32": "local-dir:from-hub",
    "hf:facebook/dinov2-base": "local-dir:without-texts",
    "ViT-B-32/openai": "clipdb-tiny/scenes",
    "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K": "local-dir:mynet",
}
INSTEAD_OF_COMMANDS = {
    "span": "span --pool scenes",
    "span -i both.clipdb": "span --pool scenes -i both.clipdb",
    "align --model hf:facebook/dinov2-base --to ViT-B-32/openai -i both.clipdb": (
        "align --model without-texts/local --to clipdb-tiny/scenes -i both.clipdb"
    ),
}


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
    save("clip", Path("my-clip"))
    save_without_texts(Path("without-texts"))
    shutil.copytree("my-clip", "from-hub")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the page printed, by what follows `clipdb`."""
    from clipdb import demo

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        patch.delenv("CLIPDB_INDEX", raising=False)
        demo.write_scenes(Path("clipdb-demo/scenes"), 200, 11)
        photos = [path for path, _ in demo.write_scenes(Path("photos"), 60, 12)]
        Path("photos.csv").write_text("\n".join(["path,label", *(f"{photo},scene" for photo in photos), ""]))
        models()
        outputs = {}
        for line in re.findall(r"^\$ clipdb (.+)$", PAGE, re.MULTILINE):
            command = shlex.join(shlex.split(line, comments=True))
            run = shlex.split(INSTEAD_OF_COMMANDS.get(command, command))
            outputs[command] = done(*(INSTEAD.get(word, word) for word in run))
        yield outputs


def test_every_command_prints_something(printed: dict[str, str]) -> None:
    assert len(printed) == 22
    assert all(output.strip() for output in printed.values())


def test_a_folder_gets_named_heads(printed: dict[str, str]) -> None:
    assert "added 60, skipped 0, failed 0" in printed["ingest images photos/ --model ViT-L-14/laion2b_s32b_b82k"]
    named = "select count(*) from head_properties where model_id = 'clipdb-tiny/scenes'"
    assert rows(Path("index.clipdb"), named)[0][0] > 12
    assert rows(Path("listed.clipdb"), "select label, count(*) from images group by all") == [("scene", 60)]


def test_a_table_answers_how_much_comes_from_the_heads_of_a_property(printed: dict[str, str]) -> None:
    ingest, *_, ablate, colours_of = (printed[command] for command in printed if "-i own.clipdb" in command)
    assert "added 200, skipped 0, failed 0" in ingest
    colours = rows(Path("own.clipdb"), "select count(distinct metadata->>'colour') from images")[0][0]
    before, after, control = (float(number) for number in re.findall(r"\b[01]\.\d{3}\b", ablate)[:3])
    assert before > 0.9 and after < control - 0.2  # the heads named for it matter, as many others don't
    assert len(colours_of.splitlines()) == 2 + colours


def test_models_are_called_as_the_page_says(printed: dict[str, str]) -> None:
    ingested = rows(Path("index.clipdb"), "select distinct model_id from models order by model_id")
    assert ingested == [("clipdb-tiny/mine",), ("clipdb-tiny/scenes",), ("mynet/local",), ("mynet/v1",)]


def test_the_python_of_the_page_does_the_same(printed: dict[str, str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for written, instead in INSTEAD.items():
        block = block.replace(written, instead)
    assert block.count('span("index.clipdb")') == 1
    exec(block.replace('span("index.clipdb")', 'span("index.clipdb", pool="scenes")'), {})
    assert rows(Path("index.clipdb"), "select count(*) from images") == [(60,)]


def test_what_stands_in_is_needed(printed: dict[str, str]) -> None:
    assert set(INSTEAD) <= {word for command in printed for word in command.split()}
    assert set(INSTEAD_OF_COMMANDS) <= printed.keys()
