"""How images are ingested."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from clipdb.errors import ClipdbError
from clipdb.ingest.images.decoding.on_device import DeviceDecoders
from clipdb.ingest.images.decoding.workers import DecodePool
from clipdb.models.device_jpeg import DeviceJpegs
from clipdb.models.host_copies import pixel_memory
from clipdb.models.preprocess import Preprocess

BATCH_ON_CPU, BATCH_ON_GPU = 32, 256


@dataclass(frozen=True)
class ImageOptions:
    """How to ingest images: the flags of ``clipdb ingest images``."""

    layers: str | None = None
    mlps: bool = False
    constants: bool = False
    checkpoint: Path | None = None
    config: Path | None = None
    device: str = "auto"
    precision: str = "fp32"
    batch_size: int | None = None
    workers: int = 2
    split: str | None = None
    label_from: str | None = None
    overwrite: bool = False
    base: str | None = None
    rank_factor: int | None = None
    draft: bool = False
    gpu_decode: bool = False

    def batch_on(self, device: torch.device) -> int:
        """Return how many images a forward pass takes."""
        return self.batch_size or (BATCH_ON_CPU if device.type == "cpu" else BATCH_ON_GPU)

    def require_gpu(self, device: torch.device) -> None:
        """Refuse to decode on a GPU where the model doesn't run on one of NVIDIA's."""
        if self.gpu_decode and device.type != "cuda":
            raise ClipdbError(f"--gpu-decode needs an NVIDIA GPU, and this runs on {device}: leave it out")

    def decoders(self, preprocess: Preprocess, device: torch.device) -> DecodePool | DeviceDecoders:
        """Start what decodes images for a model on a device.

        Raises
        ------
        ClipdbError
            If a GPU is to decode and there is none, or it can't.
        """
        self.require_gpu(device)
        jpegs = DeviceJpegs(preprocess, device) if self.gpu_decode else None
        room = partial(pixel_memory, device=device)
        pool = DecodePool(replace(preprocess, draft=self.draft), self.workers, room)
        return pool if jpegs is None else DeviceDecoders(pool, jpegs)
