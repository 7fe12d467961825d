"""Checkpoints: what is loaded, and what is refused without running anything in it."""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from support import MODEL, done, refused, rows, table

from clipdb.models.checkpoint import tensor_shapes
from clipdb.models.loading import load


class Code:
    """An object whose unpickling makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.mark,)


def ingest(scenes: Path, checkpoint: Path, index: Path, model: str = MODEL) -> tuple:
    return ("ingest", "images", scenes, "--model", model, "--checkpoint", checkpoint, "--workers", 0, "-i", index)


@pytest.mark.parametrize("wrapped", ["plain", "state_dict", "module.", "float16"])
def test_torch_files_of_tensors_are_the_same_model(wrapped: str, weights: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    path = tmp_path / "weights.pt"
    if wrapped == "module.":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": one for name, one in state.items()}}, path)
    elif wrapped == "float16":
        torch.save({name: one.half() for name, one in state.items()}, path)
    else:
        torch.save({"state_dict": state} if wrapped == "state_dict" else state, path)
    images = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))
    with torch.inference_mode():
        ours, theirs = (load(MODEL, one, "cpu").network.encode_image(images) for one in (path, weights))
    torch.testing.assert_close(ours, theirs, atol=2e-2 if wrapped == "float16" else 0, rtol=0)
    assert set(tensor_shapes(path)) == set(state)


def test_weights_are_known_by_the_files_sha256(weights: Path) -> None:
    import hashlib

    assert load(MODEL, weights, "cpu").weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_openai_tags_are_built_with_quickgelu_whatever_the_name_says() -> None:
    """Without weights: the architecture that would be filled."""
    for arch, tag, quick in (
        ("ViT-B-32", "openai", True),
        ("ViT-B-32", "laion2b_s34b_b79k", False),
        ("ViT-B-32-quickgelu", "openai", True),
        ("ViT-B-32", "datacomp_xl_s13b_b90k", False),
        ("ViT-H-14-quickgelu", "dfn5b", True),
    ):
        assert bool(open_clip.get_pretrained_cfg(arch, tag).get("quick_gelu")) == quick, (arch, tag)


def pickled_code(weights: Path, path: Path) -> None:
    path.write_bytes(pickle.dumps(Code(path.parent / "ran")))


def torch_file_with_code(weights: Path, path: Path) -> None:
    torch.save({"state_dict": load_file(weights), "code": Code(path.parent / "ran")}, path)


def torch_script(weights: Path, path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def cut_torch_file(weights: Path, path: Path) -> None:
    torch.save(load_file(weights), path)
    path.write_bytes(path.read_bytes()[:100_000])


BAD_FILES: dict[str, tuple[str, Callable[[Path, Path], object], str]] = {
    "a pickle with code": ("x.pt", pickled_code, "loading it could run code"),
    "a torch file with code": ("x.pt", torch_file_with_code, "loading it could run code"),
    "TorchScript": ("x.pt", torch_script, "is not a torch file of tensors"),
    "a torch file cut short": ("x.pt", cut_torch_file, "is not a torch file of tensors"),
    "an empty torch file": ("x.pt", lambda weights, path: path.write_bytes(b""), "is not a torch file of tensors"),
    "text in a torch file": ("x.pt", lambda weights, path: path.write_text("weights"), "x.pt"),
    "no tensors": ("x.pt", lambda weights, path: torch.save({"epoch": 1}, path), "holds no tensors"),
    "a bare tensor": ("x.pt", lambda weights, path: torch.save(torch.ones(3), path), "holds no tensors"),
    "safetensors cut short": (
        "x.safetensors",
        lambda weights, path: path.write_bytes(weights.read_bytes()[:1_000_000]),
        "is not a whole safetensors file",
    ),
    "empty safetensors": ("x.safetensors", lambda weights, path: path.write_bytes(b""), "not a whole safetensors file"),
    "safetensors of none": ("x.safetensors", lambda weights, path: save_file({}, path), "holds no tensors"),
    "a pickle named safetensors": ("x.safetensors", pickled_code, "is not a whole safetensors file"),
    "nothing": ("x.safetensors", lambda weights, path: None, "no checkpoint at"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_that_are_no_weights(kind: str, weights: Path, scenes: Path, tmp_path: Path) -> None:
    name, write, said = BAD_FILES[kind]
    write(weights, tmp_path / name)
    with warnings.catch_warnings(action="error", category=UserWarning):  # which would be lines of their own
        line = refused(*ingest(scenes, tmp_path / name, tmp_path / "new.clipdb"))
    assert said in line and str(tmp_path / name) in line
    assert not (tmp_path / "ran").exists() and not (tmp_path / "new.clipdb").exists()


def wider(state: dict[str, torch.Tensor]) -> None:
    state["visual.proj"] = torch.zeros(192, 256)


def another_grid(state: dict[str, torch.Tensor]) -> None:
    """open_clip alone would resize these without a word."""
    state["visual.positional_embedding"] = torch.zeros(17, 192)


def deeper(state: dict[str, torch.Tensor]) -> None:
    state |= {name.replace("resblocks.0", "resblocks.9"): one.clone() for name, one in state.items()}


def shallower(state: dict[str, torch.Tensor]) -> None:
    for name in [one for one in state if "visual.transformer.resblocks.4" in one]:
        del state[name]


def renamed(state: dict[str, torch.Tensor]) -> None:
    for name in list(state):
        state[f"vision_model.{name}"] = state.pop(name)


@pytest.mark.parametrize("alter", [wider, another_grid, deeper, shallower, renamed])
def test_a_checkpoint_of_another_architecture(alter: Callable, weights: Path, scenes: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    alter(state)
    save_file(state, tmp_path / "other.safetensors")
    line = refused(*ingest(scenes, tmp_path / "other.safetensors", tmp_path / "new.clipdb"))
    assert f"{tmp_path / 'other.safetensors'} doesn't hold clipdb-tiny: " in line
    assert not (tmp_path / "new.clipdb").exists()


def test_weights_that_are_not_finite_are_refused(weights: Path, scenes: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    state["visual.transformer.resblocks.2.mlp.c_fc.weight"][0, 0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    line = refused(*ingest(scenes, tmp_path / "nan.safetensors", tmp_path / "new.clipdb"))
    assert f"{MODEL} is refused: the components differ from encode_image by nan" in line
    assert not (tmp_path / "new.clipdb").exists()


def test_a_tower_without_heads_is_refused(scenes: Path, weights: Path, tmp_path: Path) -> None:
    line = refused(*ingest(scenes, weights, tmp_path / "new.clipdb", "convnext_base/mine"))
    assert line.startswith("convnext_base/mine can't be decomposed: it is a ConvNeXt, which has no attention heads")
    assert not (tmp_path / "new.clipdb").exists()


def test_the_weights_are_found_again_from_another_folder(
    scenes: Path, weights: Path, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "one.clipdb"
    shutil.copy(weights, tmp_path / "mine.safetensors")
    monkeypatch.chdir(tmp_path)
    done("ingest", "images", *pictures[:20], "--model", MODEL, "--checkpoint", "mine.safetensors", "-i", index)
    monkeypatch.chdir(scenes)
    assert "24 heads spanned" in done("span", "--pool", "scenes", "-i", index)
    (tmp_path / "mine.safetensors").unlink()
    assert "24 heads spanned" in done("span", "--pool", "scenes", "-i", index)  # every text is embedded
    assert "mine.safetensors" in refused("span", "--pool", "general", "-i", index)
    assert "24 heads spanned" in done("span", "--pool", "scenes", "--checkpoint", weights, "-i", index)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions(precision: str, pictures: list[Path], model: tuple, ready_index: Path, tmp_path: Path) -> None:
    index = tmp_path / "half.clipdb"
    done("ingest", "images", *pictures[:12], *model, "--precision", precision, "--workers", 0, "-i", index)
    assert 1e-6 < rows(index, "select reconstruction_error from models")[0][0] < 2e-2
    half, full = table(index), table(ready_index)
    kept = [full.ids.index(one) for one in half.ids]
    cosines = (half["embedding"] * full["embedding"][kept]).sum(axis=1)
    assert cosines.min() > 0.999
    assert np.abs(half["l4h0"] - full["l4h0"][kept]).max() < 0.05 * np.abs(full["l4h0"]).max()
