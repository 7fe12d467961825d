"""Models run without heads, against the same models with other weights or under plain hooks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from random_towers import Network
from towers import small_clip
from traced import small
from transformers_models import small_model

from clipdb.errors import ClipdbError
from clipdb.models.ablation import Edit, begin
from clipdb.models.hugging_face.network import Network as TransformersNetwork
from clipdb.models.towers import adapt
from clipdb.models.towers.open_clip_class_token import OpenClipClassToken
from clipdb.models.towers.open_clip_transformer import OpenClipTransformer

LAYERS = (0, 1)
SETS = [{0: [1]}, {1: [0, 1]}, {0: [0], 1: [1]}]
Tower = tuple[Any, Any, Callable[[Any], list[Any]]]


def tower(name: str) -> Tower:
    """An adapter, its image tower, and what finds the output projections in a copy of it."""
    if name in ("class_token", "open_clip_traced"):
        visual = small_clip().visual
        family = OpenClipClassToken if name == "class_token" else OpenClipTransformer
        return family(visual), visual, lambda one: [block.attn.out_proj for block in one.transformer.resblocks]
    if name == "transformers":
        network = TransformersNetwork(small_model("clip"))
        return (
            adapt(network, name),
            network.visual,
            lambda one: [block.self_attn.out_proj for block in one.tower.encoder.layers],
        )
    visual = small(name)
    return adapt(Network(visual), name), visual, lambda one: [block.attn.proj for block in one.trunk.blocks]


def pictures(adapter: Any, count: int = 3) -> torch.Tensor:
    side = adapter.image_size
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def columns(adapter: Any, heads: list[int]) -> list[int]:
    return [head * adapter.head_dim + place for head in heads for place in range(adapter.head_dim)]


@torch.inference_mode()
def forward(visual: Any, images: torch.Tensor) -> torch.Tensor:
    found = visual(images)
    return found[0] if isinstance(found, tuple) else found


NAMES = ["class_token", "open_clip_traced", "timm class token", "transformers"]


@pytest.mark.parametrize("name", NAMES)
def test_heads_at_zero_equal_zeroed_columns_of_the_output_projection(name: str) -> None:
    adapter, visual, projections = tower(name)
    images = pictures(adapter)
    run = begin(adapter, images, LAYERS)
    whole = forward(visual, images)
    assert torch.allclose(run.embedding, whole, atol=1e-5)
    for heads in SETS:
        edited = copy.deepcopy(visual)
        for layer, some in heads.items():
            projections(edited)[layer].weight.data[:, columns(adapter, some)] = 0
        plain = forward(edited, images)
        assert (plain - whole).abs().max() > 1e-3
        found = run.without({layer: Edit(some) for layer, some in heads.items()})
        assert (found - plain).abs().max() < 1e-5 * plain.abs().max().clamp(min=1)
    assert torch.allclose(forward(visual, images), whole, atol=1e-6)  # nothing stays behind in the model


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("tokens", ["each", "one"])
@pytest.mark.parametrize("name", ["open_clip_traced", "timm class token", "transformers"])
def test_replaced_outputs_equal_a_plain_hook(name: str, tokens: str, class_token: bool) -> None:
    adapter, visual, projections = tower(name)
    images = pictures(adapter)
    run = begin(adapter, images, LAYERS)
    count = run.outputs[0].shape[1] if tokens == "each" else 1
    generator = torch.Generator().manual_seed(2)
    kept = {layer: torch.randn(count, 2, adapter.head_dim, generator=generator) for layer in LAYERS}
    found = run.without({layer: Edit([0, 1], kept[layer], class_token) for layer in LAYERS})

    def replace(layer: int) -> Any:
        def hook(module: Any, inputs: Any) -> Any:
            z = inputs[0].clone()
            for token in range(1 if class_token else z.shape[1]):
                for place in range(2):
                    at = columns(adapter, [place])
                    z[:, token, at] = kept[layer][token if tokens == "each" else 0, place]
            return (z,)

        return hook

    with ExitStack() as stack:
        for layer in LAYERS:
            stack.callback(projections(visual)[layer].register_forward_pre_hook(replace(layer)).remove)
        if name == "open_clip_traced":
            stack.enter_context(adapter.exposed())
        plain = forward(visual, images)
    assert (found - plain).abs().max() < 1e-5 * plain.abs().max().clamp(min=1)


@pytest.mark.parametrize("class_token", [False, True])
def test_the_fast_tower_agrees_with_the_traced_one_in_every_layer(class_token: bool) -> None:
    visual = small_clip("layer_scale").visual
    fast, traced = OpenClipClassToken(visual), OpenClipTransformer(visual)
    images, layers = pictures(fast), (0, 1, 2)
    one, other = begin(fast, images, layers), begin(traced, images, layers)
    generator = torch.Generator().manual_seed(3)
    for layer in layers:
        kept = torch.randn(other.outputs[0].shape[1], 1, 16, generator=generator)
        edits = {layer: Edit([2], kept, class_token)}
        assert (one.without(edits) - other.without(edits)).abs().max() < 1e-5
        assert torch.allclose(one.outputs[layer], other.outputs[layer][:, : one.outputs[layer].shape[1]], atol=1e-5)
    everywhere = begin(fast, images, layers, every_token=True)
    assert torch.allclose(everywhere.outputs[2], other.outputs[2], atol=1e-5)


@torch.inference_mode()
def test_with_what_follows_frozen_direct_and_causal_agree_in_the_last_layer() -> None:
    visual = small_clip().visual.double()
    adapter = OpenClipClassToken(visual)
    images = pictures(adapter).double()
    run = begin(adapter, images, (2,))
    block, heads = visual.transformer.resblocks[2], [0, 3]
    before = run._before[2][:, :1]
    mlp_at = before + adapter._write(block, run.outputs[2])
    mlp = block.mlp(block.ln_2(mlp_at))  # of the intact run
    token = (mlp_at + mlp)[:, 0]
    edited = (before + adapter._write(block, Edit(heads)(run.outputs[2])) + mlp)[:, 0]
    sigma = (token.var(dim=-1, correction=0) + visual.ln_post.eps).sqrt()[:, None]  # of the intact run
    centred = (edited - edited.mean(dim=-1, keepdim=True)) / sigma
    causal = (centred * visual.ln_post.weight + visual.ln_post.bias) @ visual.proj
    captured = adapter.capture(images, [2])
    maps = torch.from_numpy(adapter.output_map(2))
    direct = captured.embedding.double()
    for head in heads:
        direct = direct - captured.heads[2][:, head].double() @ maps[head].T
    assert (causal - direct).abs().max() < 1e-6 * direct.abs().max().clamp(min=1)


def test_a_family_that_cannot_be_run_again_is_refused() -> None:
    class Other:
        name = "other"

    with pytest.raises(ClipdbError, match="towers of the family other can't be run without heads"):
        begin(Other(), torch.zeros(1, 3, 8, 8), [0])  # type: ignore[arg-type]
