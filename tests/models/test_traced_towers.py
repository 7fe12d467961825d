"""Towers that are described as a list of operations: the parts add up, and each head is what a plain run says."""

from __future__ import annotations

import pytest
import torch
from frozen import FrozenTower, compared
from random_towers import Network, image_tower
from towers import VARIANTS, small_clip
from traced import TOWERS, small

from clipdb.errors import ClipdbError
from clipdb.models.decomposition import Decomposer
from clipdb.models.proof import prove, reconstruction_errors
from clipdb.models.tower import POOL, partitions
from clipdb.models.towers import adapt
from clipdb.models.towers.open_clip_class_token import OpenClipClassToken
from clipdb.models.towers.open_clip_transformer import OpenClipTransformer
from clipdb.models.tracing.traced_tower import TracedTower
from clipdb.schema.names import REST, TRUNK, belongs_to

BOUND = 5e-6


def pictures(visual: object, count: int = 3) -> torch.Tensor:
    side = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def all_layers(adapter: object) -> list[int]:
    return sorted(layer for layers in partitions(adapter).values() for layer in layers)


@pytest.mark.parametrize("name", TOWERS)
def test_the_parts_add_up_and_none_can_be_left_out(name: str) -> None:
    visual = small(name)
    images = pictures(visual)
    adapter = adapt(Network(visual), name)
    reference = Network(visual).encode_image(images)
    decomposer = Decomposer(adapter, all_layers(adapter))
    errors = reconstruction_errors(decomposer, images, reference)
    assert errors and max(errors.values()) < BOUND, errors
    embedding, norm, heads = decomposer(images)
    assert torch.allclose(embedding * norm[:, None], reference, rtol=1e-5, atol=1e-5 * float(norm.max()))
    for partition, layers in partitions(adapter).items():
        for layer in layers:
            by_head = {(layer, head): y for head, y in enumerate(heads[layer].unbind(dim=1))}
            written = decomposer.contributions(norm, by_head)
            assert (written.norm(dim=-1) / norm).min() > 1e-3, (partition, layer)  # 200 times the bound, at the least
        assert (adapter.rest(images, partition).norm(dim=-1) / norm).min() > 1e-3


@pytest.mark.parametrize("name", TOWERS)
def test_with_what_is_no_head_nothing_is_left(name: str) -> None:
    visual = small(name)
    images = pictures(visual)
    adapter = adapt(Network(visual), name)
    components = adapter.components()
    decomposer = Decomposer(adapter, all_layers(adapter), components=components)
    captured = decomposer.capture(images)
    _, norm, heads = decomposer.vectors(captured)
    found = decomposer.component_vectors(captured)
    reference = Network(visual).encode_image(images)
    for partition, layers in partitions(adapter).items():
        beside = {part: y for part, y in found.items() if belongs_to(part, partition)}
        by_head = {(layer, head): y for layer in layers for head, y in enumerate(heads[layer].unbind(dim=1))}
        apart = decomposer.contributions(norm, by_head | beside) - reference
        assert (apart.norm(dim=-1) / norm).max() < BOUND
        apart = decomposer.contributions(norm, beside) - adapter.rest(images, partition)
        assert (apart.norm(dim=-1) / norm).max() < BOUND
    assert max(reconstruction_errors(decomposer, images, reference).values()) < BOUND
    some = Decomposer(adapter, all_layers(adapter), components=components[::2])
    assert max(reconstruction_errors(some, images, reference).values()) < BOUND
    small_rest = {part: y.shape[1] for part, y in found.items() if part[1] == REST}
    for (layer, _), size in small_rest.items():  # what is the same for all images takes a few numbers
        assert size == adapter.embed_dim if layer == TRUNK and adapter.pooling != "tok" else size <= 12, small_rest


@pytest.mark.parametrize("name", TOWERS)
def test_every_head_is_what_the_embedding_loses_without_it(name: str) -> None:
    visual = small(name)
    images = pictures(visual, 2)
    adapter = adapt(Network(visual), name)
    plain = FrozenTower(visual, images, adapter.layers)
    decomposer = Decomposer(adapter, all_layers(adapter))
    for head, apart, _ in compared(plain, decomposer, images):
        assert apart < BOUND, head


@pytest.mark.parametrize("name", TOWERS)
def test_what_tokens_give_adds_up_to_the_head(name: str) -> None:
    visual = small(name)
    adapter = adapt(Network(visual), name)
    if name == "class token, sub-LN, qk-norm, head scales":  # which scales z behind the attention
        with pytest.raises(ClipdbError, match="isn't a sum over tokens"):
            adapter.capture_tokens(pictures(visual), [0])
        return
    whole, split = (call(pictures(visual), all_layers(adapter)) for call in (adapter.capture, adapter.capture_tokens))
    assert torch.allclose(whole.embedding, split.embedding, atol=1e-6)
    side = adapter.image_size // adapter.patch_size
    for layer, heads in whole.heads.items():
        given = split.tokens[layer]
        assert given.shape[2] == len(adapter.other_tokens) + side * side
        assert (given.sum(dim=2) - heads).abs().max() < 1e-5 * heads.abs().max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fast_path_gives_what_the_list_of_operations_gives(variant: str) -> None:
    model = small_clip(variant)
    images = pictures(model.visual)
    fast, listed = OpenClipClassToken(model.visual), OpenClipTransformer(model.visual)
    assert type(adapt(model, variant)) is OpenClipClassToken
    one, other = fast.capture(images, [0, 2]), listed.capture(images, [0, 2])
    assert fast.components() == listed.components()
    scale = one.embedding.norm(dim=-1).max()
    assert (one.embedding - other.embedding).abs().max() < 1e-6 * scale
    assert (fast.rest(images, "trunk") - listed.rest(images, "trunk")).abs().max() < 1e-6 * scale
    for layer in (0, 2):
        assert (one.heads[layer] - other.heads[layer]).abs().max() < 1e-6 * one.heads[layer].abs().max()
        assert abs(fast.output_map(layer) - listed.output_map(layer)).max() < 1e-12
    for name in (
        "layers",
        "heads",
        "head_dim",
        "pool_heads",
        "width",
        "embed_dim",
        "patch_size",
        "image_size",
        "pooling",
    ):
        assert getattr(fast, name) == getattr(listed, name), name


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("convnext_base", "it is a ConvNeXt, which has no attention heads"),
        ("MobileCLIP-S1", "it is a FastViT: convolutions and a gate follow its attention"),
        ("swin_base_patch4_window7_224", "it is a Swin transformer, which merges tokens"),
    ],
)
def test_towers_whose_heads_do_not_add_up_are_refused_with_the_reason(arch: str, reason: str) -> None:
    with torch.device("meta"):
        visual = image_tower(arch)
    with pytest.raises(ClipdbError, match=f"^{arch} can't be decomposed: {reason}"):
        adapt(Network(visual), arch)


@pytest.mark.parametrize("part", ["a bias", "a gain", "the pooling's value"])
def test_a_tower_whose_weights_are_not_those_of_its_list_is_refused(part: str) -> None:
    """Each is changed where the model computes, and not where the list reads it."""
    visual = small("SigLIP")
    trunk = visual.trunk
    module, change = {
        "a bias": (trunk.blocks[1].attn.proj, lambda x: x + 0.01 * torch.arange(64)),
        "a gain": (trunk.norm, lambda x: 1.01 * x),
        "the pooling's value": (trunk.attn_pool.kv, lambda x: 1.01 * x),
    }[part]
    module.register_forward_hook(lambda module, inputs, output: change(output))
    images = pictures(visual)
    decomposer = Decomposer(adapt(Network(visual), "small"), [POOL])
    with pytest.raises(ClipdbError, match="small is refused: the components differ"):
        prove(decomposer, images, Network(visual).encode_image(images), "fp32", "small")


def test_a_module_that_the_model_goes_past_is_named() -> None:
    """As torch's attention goes past its output projection, where the family doesn't expose it."""

    class Hidden(OpenClipTransformer):
        exposed = TracedTower.exposed

    tower = Hidden(small_clip("gelu").visual)
    with pytest.raises(
        ClipdbError, match=r"never calls the module of one of its operations, Heads: override .*exposed"
    ):
        tower.capture(pictures(tower.visual), [0])
