"""Copies between a GPU and this machine's memory that nobody waits for: through memory that is pinned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch


def pixel_memory(shape: tuple[int, ...], device: torch.device) -> np.ndarray:
    """Make room for the pixels of a batch, uint8, from which a GPU can copy while others write elsewhere."""
    return torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda").numpy()


def to_host(tensor: torch.Tensor) -> torch.Tensor:
    """Begin to copy a tensor to this machine's memory; what a GPU copies is there after `finish_line`'s wait."""
    if not tensor.is_cuda:
        return tensor.cpu()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def finish_line(device: torch.device) -> Callable[[], None]:
    """Return what waits until a device has done all that it has been given so far."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event.synchronize
