"""Weights without heads: a model that loads them embeds as the whole model does when it is run without the heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from towers import small_clip
from traced import small
from transformers_models import small_model

from clipdb.errors import ClipdbError
from clipdb.models.ablation import Edit, begin
from clipdb.models.ablation.weights import edit_weights
from clipdb.models.hugging_face.network import Network as TransformersNetwork
from clipdb.models.model import Model
from clipdb.models.no_texts import NoTexts
from clipdb.models.preprocess import Preprocess
from clipdb.models.towers import adapt

HEADS = [(0, 1), (1, 0), (1, 2)]
BY_LAYER = {0: [1], 1: [0, 2]}
FAMILIES = ["open_clip", "CLIPA", "timm class token", "clip", "dinov2"]


class Network(torch.nn.Module):
    """An image tower where open_clip's models have it."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual


def made(family: str) -> Any:
    """A network with random weights."""
    if family == "open_clip":
        return small_clip("layer_scale")
    if family in ("clip", "dinov2"):
        return TransformersNetwork(small_model(family))
    return Network(small(family)).eval()


def model_of(network: Any, file: Path) -> Model:
    preprocess = Preprocess(32, (0.5,) * 3, (0.5,) * 3, "bicubic", "shortest")
    texts, cpu = NoTexts("test/random"), torch.device("cpu")
    return Model("test/random", network, adapt(network, "test"), preprocess, (file,), None, cpu, "fp32", texts)


def saved(network: Any, folder: Path) -> Path:
    """Save weights as each library does."""
    if isinstance(network, TransformersNetwork):
        network.model.save_pretrained(folder)
        return folder / "model.safetensors"
    save_file({name: one.contiguous() for name, one in network.state_dict().items()}, folder / "w.safetensors")
    return folder / "w.safetensors"


def loaded(family: str, tensors: dict[str, torch.Tensor], folder: Path) -> Any:
    """Load tensors as each library does."""
    network = made(family)
    if isinstance(network, TransformersNetwork):
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return TransformersNetwork(type(network.model).from_pretrained(folder)).eval()
    network.load_state_dict(tensors)
    return network


@torch.inference_mode()
def embed(network: Any, images: torch.Tensor) -> torch.Tensor:
    found = network.visual(images)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("mode", ["zero", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_edited_weights_embeds_as_the_model_without_the_heads(
    family: str, mode: str, tmp_path: Path
) -> None:
    network = made(family)
    model = model_of(network, saved(network, tmp_path))
    before = {name: one.clone() for name, one in network.state_dict().items()}
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    run = begin(model.adapter, images, (0, 1), every_token=True)
    means = {layer: z.double().mean(dim=(0, 1))[None] for layer, z in run.outputs.items()}
    kept = {layer: means[layer][:, heads].float() if mode == "mean" else None for layer, heads in BY_LAYER.items()}

    edited = edit_weights(model, HEADS, means if mode == "mean" else None)

    without = embed(loaded(family, edited.tensors, tmp_path), images)
    expected = run.without({layer: Edit(heads, kept[layer]) for layer, heads in BY_LAYER.items()})
    whole = embed(network, images)
    assert (expected - whole).abs().max() > 1e-3
    assert (without - expected).abs().max() < 1e-5 * expected.abs().max().clamp(min=1)
    assert len(edited.changed) == (4 if mode == "mean" else 2)
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())  # the model is untouched


def test_every_other_tensor_stays_as_it_is_in_its_own_type(tmp_path: Path) -> None:
    network = small_clip()
    state = {name: one.contiguous().half() for name, one in network.state_dict().items()}
    state["visual.ln_post.weight"] = state["visual.ln_post.weight"].float()
    save_file(state, tmp_path / "w.safetensors")
    network.load_state_dict(state)
    edited = edit_weights(model_of(network, tmp_path / "w.safetensors"), [(2, 3)], {2: torch.ones(1, 4, 16)})
    name, bias = (f"visual.transformer.resblocks.2.attn.out_proj.{one}" for one in ("weight", "bias"))
    assert edited.changed == (bias, name)
    assert set(edited.tensors) == set(state)
    for one, tensor in edited.tensors.items():
        assert tensor.dtype == state[one].dtype
        if one not in edited.changed:
            assert torch.equal(tensor, state[one])
    assert not edited.tensors[name][:, 48:].any() and torch.equal(edited.tensors[name][:, :48], state[name][:, :48])
    added = state[bias].double() + state[name][:, 48:].double().sum(dim=1)
    assert torch.equal(edited.tensors[bias], added.half())


def test_a_torch_file_is_read_and_names_of_data_parallel_training_lose_their_beginning(tmp_path: Path) -> None:
    network = small_clip()
    torch.save({"state_dict": {f"module.{n}": one for n, one in network.state_dict().items()}}, tmp_path / "w.pt")
    edited = edit_weights(model_of(network, tmp_path / "w.pt"), [(0, 0)])
    assert set(edited.tensors) == set(network.state_dict())


def test_what_cannot_be_edited_is_refused(tmp_path: Path) -> None:
    network = Network(small("EVA02-B")).eval()
    with pytest.raises(ClipdbError, match=r"a norm between the heads and their output projection \(sub-LN\)"):
        edit_weights(model_of(network, saved(network, tmp_path)), [(0, 0)])
    network = small_clip()
    model = model_of(network, saved(network, tmp_path))
    network.visual.transformer.resblocks[1].attn.out_proj.weight.data += 1
    with pytest.raises(ClipdbError, match=r"don't hold visual.transformer.resblocks.1.attn.out_proj.weight as the"):
        edit_weights(model, [(1, 0)])
