"""Models of transformers in an index: from a folder or the Hub to a question, and what is refused on the way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
from hub_server import COMMIT, Hub, hub_server
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from support import done, refused, rows
from test_hub import run
from transformers_models import save

from clipdb.errors import ClipdbError
from clipdb.models.loading import load
from clipdb.models.model_config import named

ON_HUB = "made/tiny-siglip__a"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SigLIP as somebody publishes it."""
    place = tmp_path_factory.mktemp("published") / ON_HUB
    save("siglip", place)
    return place


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own") / "tiny-clip"
    save("clip", place)
    return place


def test_from_a_folder_to_an_answer_and_through_an_export(clip: Path, pictures: list[Path], tmp_path: Path) -> None:
    index, theirs = tmp_path / "a.clipdb", tmp_path / "b.clipdb"
    ingest = ("ingest", "images", "--layers", "all", "--workers", 0, "--device", "cpu", "-i", index)
    done(*ingest, *pictures[:6], "--model", f"local-dir:{clip}")
    ((model, config, preprocess, error),) = rows(
        index, "select model_id, config, preprocess, reconstruction_error from models"
    )
    assert model == "tiny-clip/local" and error < 5e-6
    assert json.loads(config) == {"transformers": json.loads((clip / "config.json").read_text())}
    assert json.loads(preprocess)["library"] == "transformers"
    assert done(*ingest, *pictures[:7], "--model", model).endswith("added 1, skipped 6, failed 0\n")
    ask = ("explain", pictures[0], "a red ring", "-f", "csv", "-i")
    shown = done(*ask, index)
    assert shown.count("\n") > 6
    done("export", tmp_path / "out", "-i", index)
    done("import", tmp_path / "out", "-i", theirs)
    done("verify", "-i", theirs)
    assert done(*ask, theirs, "--checkpoint", clip) == shown
    moved = shutil.copytree(clip, tmp_path / "moved")
    tensors = load_file(moved / "model.safetensors")
    save_file({name: one * 1.5 for name, one in tensors.items()}, moved / "model.safetensors", {"format": "pt"})
    assert "with other weights" in refused(*ask, theirs, "--checkpoint", moved)


def test_from_the_hub_once_and_then_from_the_cache(folder: Path, pictures: list[Path], tmp_path: Path) -> None:
    index, model = tmp_path / "x.clipdb", f"hf:{ON_HUB}"
    ingest = ["ingest", "images", *pictures[:4], "--model", model, "--workers", 0, "--device", "cpu", "-i", index]
    with hub_server(folder.parents[1]) as hub:
        first = run(hub, tmp_path / "cache", *ingest)
        assert first.returncode == 0, first.stderr
        assert all("Traceback" not in line and "Warning" not in line for line in first.stderr.splitlines())
        hub.refuses = 500
        ingest[2:6] = pictures[4:5]
        again = run(hub, tmp_path / "cache", *ingest, HF_HUB_OFFLINE="1")
        assert again.returncode == 0 and "added 1" in again.stdout, again.stderr
    ask = ("explain", pictures[0], "a red ring", "--partition", "pool", "-i", index, "-f", "csv")
    assert "P.H2" in done(*ask, "--checkpoint", folder)
    ((stored, config, bias),) = rows(index, "select model_id, config, logit_bias from models")
    assert stored == model and json.loads(config)["commit"] == COMMIT and bias is not None
    assert (index / "vectors" / "hf--made--tiny-siglip_.._a.images.lance").is_dir()


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that this process asks, with an empty cache and a place for what a test publishes."""
    with hub_server(tmp_path / "hub") as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        template = f"{served.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield served


def test_a_repository_in_the_format_of_open_clip(hub: Hub, pictures: list[Path], tmp_path: Path) -> None:
    place = hub.folder / "made" / "by-open-clip"
    place.mkdir(parents=True)
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    network = open_clip.model.CLIP(**config)
    save_file(
        {name: one.contiguous() for name, one in network.state_dict().items()}, place / "open_clip_model.safetensors"
    )
    ingest = ("ingest", "images", "--model", "hf-hub:made/by-open-clip", "--workers", 0, "-i", tmp_path / "index")
    done(*ingest, *pictures[:3])
    ((error, stored),) = rows(tmp_path / "index", "select reconstruction_error, config from models")
    assert error < 5e-6 and json.loads(stored) == {
        "model_cfg": config,
        "preprocess_cfg": preprocess,
        "commit": COMMIT,
    }
    hub.asked.clear()
    assert done(*ingest, *pictures[:4]).endswith("added 1, skipped 3, failed 0\n")
    assert all(COMMIT in path for _, path, _ in hub.asked)
    said = refused(*ingest[:3], "hf:made/by-open-clip", pictures[0], "-i", tmp_path / "other")
    assert "has no config.json: hf: names models of transformers" in said


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no config.json"),
        ({"adapter_config.json": "{}"}, "is an adapter (LoRA)"),
        ({"config.json": '{"model_type": "clip"}', "pytorch_model.bin": ""}, "and clipdb loads no pickles"),
        ({"config.json": '{"model_type": "xclip"}'}, "an X-CLIP, whose frames exchange messages"),
    ],
)  # fmt: skip
def test_a_repository_that_is_no_model_is_refused(files: dict[str, str], said: str, hub: Hub, tmp_path: Path) -> None:
    place = hub.folder / "made" / "strange"
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_text(content)
    with pytest.raises(ClipdbError) as error:
        load("hf:made/strange@main", device="cpu")
    assert str(error.value).startswith("hf:made/strange@main ") and said in str(error.value)
    assert not any("pytorch_model" in path for _, path, _ in hub.asked)


def test_what_the_hub_refuses_says_why(hub: Hub, tmp_path: Path) -> None:
    hub.refuses = 401
    with pytest.raises(
        ClipdbError, match=r"^can't get the files of hf:made/strange: .*accepted their terms.*local-dir"
    ):
        load("hf:made/strange", device="cpu")


def test_shards_are_the_same_model(clip: Path, tmp_path: Path) -> None:
    from transformers import CLIPModel

    shutil.copytree(clip, tmp_path / "shards")
    (tmp_path / "shards" / "model.safetensors").unlink()
    CLIPModel.from_pretrained(clip).save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    one, many = (
        load(found.model_id, found.checkpoint, "cpu", "fp32", found.config)
        for found in (named(f"local-dir:{place}", None, None) for place in (clip, tmp_path / "shards"))
    )
    assert len(many.weights) > 1 and many.tensors_sha256 == one.tensors_sha256
    # The last bit depends on where the same weights lie in memory, which is where they lie in their files.
    texts = [model.embed_texts(["a red ring"], 1) for model in (one, many)]
    np.testing.assert_allclose(texts[0], texts[1], rtol=0, atol=5e-7)


def _tensors(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def edit(place: Path) -> None:
        tensors = load_file(place / "model.safetensors")
        change(tensors)
        save_file(tensors, place / "model.safetensors", {"format": "pt"})

    return edit


def _config(**values: object) -> Callable[[Path], object]:
    def edit(place: Path) -> None:
        content = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps(content | values))

    return edit


def _file(name: str, content: str | None = None) -> Callable[[Path], object]:
    return lambda place: (place / name).unlink() if content is None else (place / name).write_text(content)


BIAS = "vision_model.post_layernorm.bias"
EDITS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a tensor is missing": (_tensors(lambda some: some.pop(BIAS)), f"the file lacks {BIAS}: give the folder"),
    "a tensor too many": (
        _tensors(lambda some: some.update(more=some[BIAS].clone())),
        "which the model hasn't, more",
    ),
    "another shape": (_tensors(lambda some: some.update({BIAS: some[BIAS][:9]})), f"of another shape, {BIAS}"),
    "cut short": (lambda place: (place / "model.safetensors").write_bytes(b"12345678"), "not a whole safetensors file"),
    "a pickle": (lambda place: (place / "model.safetensors").rename(place / "pytorch_model.bin"), "loads no pickles"),
    "LoRA": (_file("adapter_config.json", "{}"), "is an adapter (LoRA), not a model: merge it, "),
    "shards elsewhere": (
        lambda place: (
            (place / "model.safetensors").unlink(),
            (place / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x.safetensors"}}'),
        ),
        "names '../x.safetensors', which is no file of weights beside it",
    ),
    "code of others": (_config(auto_map={"AutoModel": "evil.Model"}), "asks to run code of others (auto_map)"),
    "a giant": (_config(vision_config={"hidden_size": 10**9}), "has hidden_size 1000000000: no model has more than"),
    "another type": (_config(model_type="llama"), "of the type 'llama': it reads clip, "),
    "another class": (
        _config(architectures=["CLIPVisionModel"]),
        "describes a CLIPVisionModel: clipdb reads",
    ),
    "not JSON": (_file("config.json", "{"), "is not JSON"),
    "no object": (_file("config.json", "[]"), "describes no model"),
    "no image processor": (_file("preprocessor_config.json"), "has no image processor that can be read"),
    "whole pictures": (
        _file("preprocessor_config.json", '{"image_processor_type": "CLIPImageProcessor", "do_center_crop": false}'),
        "doesn't cut its images to squares",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_not_a_whole_model_is_refused(edit: str, clip: Path, pictures: list[Path], tmp_path: Path) -> None:
    change, said = EDITS[edit]
    place = shutil.copytree(clip, tmp_path / "changed")
    change(place)
    index = tmp_path / "index.clipdb"
    assert said in refused("ingest", "images", pictures[0], "--model", f"local-dir:{place}", "-i", index)
    assert not index.exists()


@pytest.mark.parametrize(
    ("missing", "said"), [("tokenizer.json", "can't be read"), ("tokenizer*.json", "knows no words: its folder has to")]
)
def test_without_a_tokenizer_images_are_read_and_texts_refused(
    missing: str, said: str, clip: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(clip, tmp_path / "changed")
    for file in place.glob(missing):
        file.unlink()
    found = named(f"local-dir:{place}", None, None)
    model = load(found.model_id, found.checkpoint, "cpu", "fp32", found.config)
    with pytest.raises(ClipdbError, match=f"^the tokenizer of changed/local {said}"):
        model.embed_texts(["a red ring"], 1)


def test_a_strangers_description_is_checked() -> None:
    from clipdb.models.hugging_face.description import checked

    good = {"transformers": {"model_type": "clip"}, "commit": COMMIT}
    assert checked(good, "x") == good
    for bad in ({"transformers": 3}, good | {"commit": "main/../.."}, {"transformers": {"model_type": []}}):
        with pytest.raises(ClipdbError, match=r"^x "):
            checked(bad, "x")
