"""Copies to this machine's memory are there, and whole, once they have been waited for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clipdb.models.host_copies import finish_line, pixel_memory, to_host

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("name", DEVICES)
def test_what_is_computed_comes_back_whole(name: str) -> None:
    device = torch.device(name)
    pixels = pixel_memory((64, 32, 32, 3), device)
    pixels[:] = np.random.default_rng(0).integers(256, size=pixels.shape)
    there = torch.from_numpy(pixels).to(device, non_blocking=True)
    copies = [to_host(there.float() * factor) for factor in range(1, 9)]
    finish_line(device)()
    for factor, copy in enumerate(copies, start=1):
        assert copy.device.type == "cpu"
        np.testing.assert_array_equal(copy.numpy(), pixels.astype(np.float32) * factor)
