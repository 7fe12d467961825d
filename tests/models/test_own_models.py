"""Models that open_clip doesn't ship: a configuration of one's own, weights in any kind of file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from artefacts import edit, with_cell
from safetensors.torch import load_file, save_file
from support import MODEL, done, refused, rows

CONFIG: dict[str, Any] = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
CONVNEXT = {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear", "image_size": 64}
REMOTE_CODE = {"hf_tokenizer_name": "a/b", "tokenizer_kwargs": {"trust_remote_code": True}}
ASK = ("query", "text-neighbours", "a text that nobody embedded", "--head", "L2.H1", "-i")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration and weights that fit it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mynet.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(7)
    open_clip.add_model_config(folder / "mynet.json")
    network = open_clip.create_model("mynet", load_weights=False)
    open_clip.factory._MODEL_CONFIGS.pop("mynet")  # so that only clipdb makes it known
    open_clip.factory._MODEL_CONFIG_PATHS.pop()
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / "v1.safetensors")
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bilinear"}
    local = folder / "local"
    local.mkdir()
    (local / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    shutil.copy(folder / "v1.safetensors", local / "open_clip_model.safetensors")
    return folder


def ingest(own: Path, index: Path, *pictures: Path) -> str:
    given = ("--config", own / "mynet.json", "--checkpoint", own / "v1.safetensors", "--layers", "all")
    return done("ingest", "images", *pictures, *given, "--workers", 0, "-i", index)


@pytest.fixture(scope="module")
def made(own: Path, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    index = tmp_path_factory.mktemp("made") / "made.clipdb"
    ingest(own, index, *pictures[:4])
    return index


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "index.clipdb"))


def test_it_is_named_after_its_files_proven_and_kept(made: Path) -> None:
    ((model, layers, error, config),) = rows(made, "select model_id, layers, reconstruction_error, config from models")
    assert (model, layers) == ("mynet/v1", 3) and error < 1e-5
    assert json.loads(config)["model_cfg"] == CONFIG


def test_later_commands_need_neither_file_named(index: Path, own: Path, pictures: list[Path]) -> None:
    assert len(done(*ASK, index, "-f", "csv").splitlines()) == 5
    more = ("ingest", "images", *pictures[:6], "--model", "mynet/v1", "--workers", 0, "-i", index)
    assert done(*more).endswith("added 2, skipped 4, failed 0\n")


def test_an_export_carries_the_configuration_and_whoever_has_the_weights_asks(
    index: Path, own: Path, tmp_path: Path
) -> None:
    done("export", tmp_path / "out", "-i", index)
    weights = ("--checkpoint", own / "v1.safetensors")
    assert done(*ASK, tmp_path / "out", *weights, "-f", "csv") == done(*ASK, index, "-f", "csv")
    done("import", tmp_path / "out", "-i", tmp_path / "theirs.clipdb")
    assert done(*ASK, tmp_path / "theirs.clipdb", *weights, "-f", "csv") == done(*ASK, index, "-f", "csv")
    said = refused(*ASK, tmp_path / "theirs.clipdb")
    assert "mynet" in said and "--checkpoint FILE" in said


def test_a_local_folder_of_open_clip_has_everything(own: Path, pictures: list[Path], tmp_path: Path) -> None:
    index = tmp_path / "index.clipdb"
    done("ingest", "images", *pictures[:3], "--model", f"local-dir:{own / 'local'}", "--layers", "all", "-i", index)
    ((model, preprocess),) = rows(index, "select model_id, preprocess from models")
    assert model == "local/local" and json.loads(preprocess)["mean"] == [0.5, 0.5, 0.5]
    assert len(done(*ASK, index, "-f", "csv").splitlines()) == 4


def test_the_same_tensors_in_another_kind_of_file_are_the_same_model(
    index: Path, own: Path, pictures: list[Path], tmp_path: Path
) -> None:
    tensors = load_file(own / "v1.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": one for name, one in tensors.items()}}, tmp_path / "v1.pt")
    command = ("ingest", "images", *pictures[:5], "--model", "mynet/v1", "--workers", 0, "-i", index, "--checkpoint")
    assert done(*command, tmp_path / "v1.pt").endswith("added 1, skipped 4, failed 0\n")
    tensors["logit_scale"] = tensors["logit_scale"] + 1
    torch.save(tensors, tmp_path / "other.pt")
    assert "has a mynet/v1 with other weights" in refused(*command, tmp_path / "other.pt")


def test_another_configuration_under_the_same_name_is_refused(
    index: Path, own: Path, pictures: list[Path], tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(CONFIG)) | {"quick_gelu": True}
    (tmp_path / "mynet.json").write_text(json.dumps(changed))
    given = ("--config", tmp_path / "mynet.json", "--checkpoint", own / "v1.safetensors")
    assert "with another configuration" in refused("ingest", "images", pictures[5], *given, "-i", index)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a configuration of open_clip's: it has embed_dim, vision_cfg, text_cfg"),
        ('{"embed_dim": 8}', "(it lacks vision_cfg, text_cfg)"),
        (json.dumps(CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"layers": 5000}}), "has layers 5000"),
        (json.dumps(CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"width": 10**9}}), "has width 1000000000"),
        (
            json.dumps(
                CONFIG | {"text_cfg": {"hf_tokenizer_name": "a/b", "tokenizer_kwargs": {"trust_remote_code": 1}}}
            ),
            "asks to run code of others",
        ),
        (json.dumps(CONFIG | {"vision_cfg": {"no": "such"}}), "open_clip can't make odd"),
        (json.dumps(CONFIG | {"vision_cfg": CONVNEXT}), "can't be decomposed"),
    ],
)
def test_a_configuration_that_will_not_do(
    own: Path, pictures: list[Path], tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "odd.json").write_text(content)
    given = ("--config", tmp_path / "odd.json", "--checkpoint", own / "v1.safetensors")
    assert said in refused("ingest", "images", pictures[0], *given, "-i", tmp_path / "x.clipdb")
    assert not (tmp_path / "x.clipdb").exists()


def test_what_does_not_name_one_model(own: Path, pictures: list[Path], tmp_path: Path) -> None:
    def said(*given: object) -> str:
        return refused("ingest", "images", pictures[0], *given, "-i", tmp_path / "x.clipdb")

    assert "no model was named" in said()
    assert "give their file with --checkpoint FILE" in said("--config", own / "mynet.json")
    assert "is no folder" in said("--model", "local-dir:nowhere")
    assert "has no weights in it" in said("--model", f"local-dir:{tmp_path}")
    local = ("--model", f"local-dir:{own / 'local'}", "--checkpoint", own / "v1.safetensors")
    assert "leave out --config and --checkpoint" in said(*local)
    own_name = ("--config", own / "mynet.json", "--checkpoint", own / "v1.safetensors", "--model", "ViT-B-32/mine")
    assert "open_clip has an architecture ViT-B-32 of its own" in said(*own_name)


@pytest.mark.parametrize("model", ["convnext_base/laion400m_s13b_b51k", "MobileCLIP-S1/datacompdr"])
def test_what_cannot_be_decomposed_is_said_before_anything_is_fetched(
    model: str, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    said = refused("ingest", "images", pictures[0], "--model", model, "-i", tmp_path / "x.clipdb")
    assert f"{model} can't be decomposed" in said and "weights" not in said


def test_a_strangers_configuration_is_checked_too(index: Path, own: Path, tmp_path: Path) -> None:
    done("export", tmp_path / "out", "-i", index)
    evil = {"model_cfg": CONFIG | {"text_cfg": REMOTE_CODE}}
    edit(tmp_path / "out", "relations/models.parquet", lambda table: with_cell(table, "config", json.dumps(evil)))
    said = refused(*ASK, tmp_path / "out", "--checkpoint", own / "v1.safetensors")
    assert "the configuration of mynet/v1" in said and "asks to run code of others" in said


def test_adding_images_uses_the_checkpoint_given_once(pictures: list[Path], weights: Path, tmp_path: Path) -> None:
    command = ("ingest", "images", "--model", MODEL, "--workers", 0, "-i", tmp_path / "i.clipdb")
    done(*command, pictures[0], "--checkpoint", weights)
    assert done(*command, *pictures[:2]).endswith("added 1, skipped 1, failed 0\n")
