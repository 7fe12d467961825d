from __future__ import annotations

import numpy as np
import pytest
import torch
from towers import VARIANTS, cut_architecture, plain_components, small_clip

from clipdb.errors import ClipdbError
from clipdb.models.decomposition import Decomposer
from clipdb.models.head_space import head_basis
from clipdb.models.proof import prove, reconstruction_errors
from clipdb.models.towers import adapt
from clipdb.schema.names import MLP, REST, TRUNK

RELATIVE = 2e-6  # float32 against the float64 oracle, as a fraction of the embedding's norm


def images(count: int, side: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def full_contributions(decomposer: Decomposer, norm: torch.Tensor, y: dict[int, torch.Tensor]) -> np.ndarray:
    """``||embedding|| Q y`` of every head, ``[batch, layer, H, D]``."""
    whole = [
        [vectors[:, head].numpy() @ decomposer.bases[layer, head].T for head in range(vectors.shape[1])]
        for layer, vectors in y.items()
    ]
    return np.array(whole).transpose(2, 0, 1, 3) * norm.numpy()[:, None, None, None]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_component_equals_the_plain_one_and_they_add_up(variant: str) -> None:
    model = small_clip(variant)
    pictures = images(5, 32)
    adapter = adapt(model, variant)
    decomposer = Decomposer(adapter, range(adapter.layers), components=adapter.components())
    captured = decomposer.capture(pictures)
    embedding, norm, y = decomposer.vectors(captured)
    plain = plain_components(model, pictures)
    with torch.no_grad():
        reference = model.encode_image(pictures).double()

    total = sum(part.reshape(5, -1, part.shape[-1]).sum(dim=1) for part in plain.values())
    assert torch.allclose(total, reference, atol=1e-5 * reference.norm(dim=-1).max())  # the oracle is one
    scale = float(norm.min())
    assert np.abs(full_contributions(decomposer, norm, y) - plain["heads"].numpy()).max() < RELATIVE * scale
    rest = total - plain["heads"].sum(dim=(1, 2))
    assert (adapter.rest(pictures, "trunk") - rest).abs().max() < RELATIVE * scale
    constants = plain["stem"] + plain["biases"].sum(dim=1) + plain["beta"]
    expected = {(layer, MLP): wrote for layer, wrote in enumerate(plain["mlps"].unbind(dim=1))}
    for part, vectors in decomposer.component_vectors(captured).items():
        written = decomposer.contributions(norm, {part: vectors})
        assert (written - expected.get(part, constants)).abs().max() < RELATIVE * scale, part
    assert decomposer.sizes()[TRUNK, REST] == 2  # one vector over sigma, and LayerNorm's own bias
    assert (embedding * norm[:, None] - reference).abs().max() < RELATIVE * scale
    assert torch.allclose(embedding.norm(dim=-1), torch.ones(5))
    assert reconstruction_errors(decomposer, pictures, reference)["trunk"] < 5e-6


def test_head_space_keeps_inner_products_and_shares_of_the_cosine() -> None:
    model = small_clip()
    pictures = images(6, 32)
    adapter = adapt(model, "small")
    decomposer = Decomposer(adapter, range(adapter.layers))
    embedding, norm, y = decomposer(pictures)
    plain = plain_components(model, pictures)
    contributions = plain["heads"].numpy() / norm.numpy()[:, None, None, None]
    text = np.random.default_rng(0).normal(size=48)
    text /= np.linalg.norm(text)
    for (layer, head), basis in decomposer.bases.items():
        ours, full = y[layer][:, head].numpy(), contributions[:, layer, head]
        assert np.allclose(ours @ ours.T, full @ full.T, atol=1e-6)
        assert np.allclose(ours @ (basis.T @ text), full @ text, atol=1e-6)
    shares = sum(y[layer][:, head].numpy() @ (q.T @ text) for (layer, head), q in decomposer.bases.items())
    others = adapter.rest(pictures, "trunk").numpy() @ text / norm.numpy()
    assert np.allclose(shares + others, embedding.numpy() @ text, atol=1e-6)


def test_only_the_layers_asked_for_are_kept_and_they_are_the_same() -> None:
    adapter = adapt(small_clip(), "small")
    pictures = images(3, 32)
    everything = Decomposer(adapter, [0, 1, 2])(pictures)[2]
    some = Decomposer(adapter, [0, 2])(pictures)[2]
    assert list(some) == [0, 2] and all(torch.equal(y, everything[layer]) for layer, y in some.items())


def test_vectors_in_a_stored_basis_stand_for_the_same_contributions() -> None:
    adapter = adapt(small_clip(), "small")
    pictures = images(3, 32)
    fresh = Decomposer(adapter, [2])
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]
    stored = {key: q @ rotation for key, q in fresh.bases.items()}
    again = Decomposer(adapter, [2], stored)
    _, norm, y = again(pictures)
    _, _, y_fresh = fresh(pictures)
    assert np.allclose(y[2].numpy(), y_fresh[2].numpy() @ rotation, atol=1e-6)
    assert np.allclose(full_contributions(again, norm, y), full_contributions(fresh, norm, y_fresh), atol=1e-5)


def test_null_directions_are_zero_columns() -> None:
    rng = np.random.default_rng(0)
    low_rank = rng.normal(size=(20, 3)) @ rng.normal(size=(3, 8))
    basis = head_basis(low_rank)
    assert basis.shape == (20, 8)
    assert np.all(basis[:, 3:] == 0)
    assert np.allclose(basis[:, :3].T @ basis[:, :3], np.eye(3))
    assert np.allclose(basis @ basis.T @ low_rank, low_rank)
    wide = head_basis(rng.normal(size=(4, 8)))  # a joint space smaller than the head
    assert wide.shape == (4, 8)
    assert np.all(wide[:, 4:] == 0)


@pytest.mark.parametrize("arch", ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-H-14", "ViT-g-14", "ViT-bigG-14"])
def test_real_widths_add_up(arch: str) -> None:
    model = cut_architecture(arch)
    adapter = adapt(model, arch)
    pictures = images(1, adapter.image_size)
    with torch.no_grad():
        reference = model.encode_image(pictures)
    assert prove(Decomposer(adapter, [0, 1]), pictures, reference, "fp32", arch) < 5e-6


def test_bf16_adds_up_within_its_bound() -> None:
    import open_clip

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", load_weights=False, precision="bf16").eval()
    adapter = adapt(model, "ViT-B-32")
    pictures = images(2, 224).bfloat16()
    with torch.no_grad():
        reference = model.encode_image(pictures)
    error = prove(Decomposer(adapter, [11]), pictures, reference, "bf16", "ViT-B-32")
    assert 1e-4 < error < 2e-2


@pytest.mark.parametrize("fault", ["a module that does more than its weights", "not a number"])
def test_a_tower_that_does_not_add_up_is_refused(fault: str) -> None:
    model = small_clip()
    decomposer = Decomposer(adapt(model, "small"), [0, 2])
    if fault == "not a number":
        model.visual.transformer.resblocks[1].mlp.c_fc.bias.data[0] = float("nan")
    else:
        model.visual.transformer.resblocks[1].attn.out_proj.register_forward_hook(lambda m, i, o: o * 1.01)
    pictures = images(2, 32)
    with torch.no_grad():
        reference = model.encode_image(pictures)
    with pytest.raises(ClipdbError, match="small is refused: the components differ"):
        prove(decomposer, pictures, reference, "fp32", "small")


def test_weights_that_overflow_are_refused_by_the_name_of_the_head() -> None:
    model = small_clip()
    model.visual.transformer.resblocks[1].attn.out_proj.weight.data[:, 32:48] = float("inf")
    with pytest.raises(ClipdbError, match=r"^the weights overflow in head L1\.H2: "):
        Decomposer(adapt(model, "small"), [0, 1])
