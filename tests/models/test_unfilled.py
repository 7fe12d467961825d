"""Networks that are made without drawing weights: once filled, they are those that were made with."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from clipdb.models.loading import load
from clipdb.models.unfilled import Unfilled


@pytest.mark.parametrize("arch", ["ViT-S-32", "RN50"])
def test_a_loaded_network_has_what_its_file_says_and_all_that_is_in_no_file(arch: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    drawn = open_clip.create_model(arch, load_weights=False).eval()
    file = tmp_path / "drawn.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in drawn.state_dict().items()}, file)
    loaded = load(f"{arch}/mine", file, "cpu").network
    for kind in ("named_parameters", "named_buffers"):  # the latter includes those that no state dict has
        ours, theirs = (dict(getattr(one, kind)()) for one in (loaded, drawn))
        assert ours.keys() == theirs.keys() and len(ours) > 0
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, equal_nan=True, msg=name)


def test_nothing_is_drawn_and_what_is_constant_is_set() -> None:
    before = torch.get_rng_state()
    with Unfilled():
        linear, norm = torch.nn.Linear(4, 3), torch.nn.LayerNorm(4)
        torch.nn.init.trunc_normal_(tensor=linear.weight)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(norm.weight, torch.ones(4)) and torch.equal(norm.bias, torch.zeros(4))
    assert torch.nn.Linear(4, 3).weight.std() > 0 and not torch.equal(torch.get_rng_state(), before)
