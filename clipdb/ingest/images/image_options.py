"""How images are ingested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

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

    def batch_on(self, device: torch.device) -> int:
        """Return how many images a forward pass takes."""
        return self.batch_size or (BATCH_ON_CPU if device.type == "cpu" else BATCH_ON_GPU)
