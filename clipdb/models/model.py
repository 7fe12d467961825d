"""A model with its weights, ready to run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clipdb.models.checkpoint import tensors_digest
from clipdb.models.hugging_face import flexible
from clipdb.models.model_config import Config
from clipdb.models.preprocess import Preprocess
from clipdb.models.text_tower import TextTower
from clipdb.models.towers import Adapter

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Model:
    """A model with its weights, ready to run.

    Attributes
    ----------
    network
        open_clip's model or, behind the same names, one of transformers; in evaluation mode on ``device``.
    weights
        The files of its weights, one as a rule.
    config
        Its architecture and preprocessing, if open_clip doesn't have them.
    text_tower
        The text tower with its tokenizer.
    """

    model_id: str
    network: Any
    adapter: Adapter
    preprocess: Preprocess
    weights: tuple[Path, ...]
    config: Config | None
    device: torch.device
    precision: str
    text_tower: TextTower

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weights file, as the hub shows it and ``sha256sum`` prints it.

        Of several files it is that of their sorted hashes, each with a newline behind it.
        """
        digests = []
        for path in self.weights:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("".join(f"{digest}\n" for digest in sorted(digests)).encode()).hexdigest()

    @cached_property
    def tensors_sha256(self) -> str:
        """SHA-256 of the tensors in the weights file: see `clipdb.models.checkpoint.tensors_digest`."""
        return tensors_digest(self.weights)

    def pixels_to_input(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise uint8 pixels ``[batch, S, S, 3]`` to the network's input ``[batch, 3, S, S]``, or patches."""
        pixels = pixels.to(self.device, non_blocking=True)
        mean, std = (torch.tensor(one, device=self.device) for one in (self.preprocess.mean, self.preprocess.std))
        if self.preprocess.max_patches is not None:
            return flexible.model_input(pixels, mean, std).to(DTYPES[self.precision])
        images = pixels.permute(0, 3, 1, 2).float().div_(255)
        return images.sub_(mean.view(3, 1, 1)).div_(std.view(3, 1, 1)).to(DTYPES[self.precision])

    @property
    def logit_bias(self) -> torch.Tensor | None:
        """What a model adds to its logits that is trained with a sigmoid (SigLIP); None in a model that has none."""
        bias: torch.Tensor | None = getattr(self.network, "logit_bias", None)
        return bias

    def embed_texts(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """Embed texts as unit vectors, float32 ``[n, D]``; what the model doesn't read of them is said on stderr."""
        self.text_tower.note(texts)
        return self.text_tower.embed(texts, batch_size)

    def row(self, reconstruction_error: float) -> dict[str, Any]:
        """Return the model's row for the table ``models``."""
        tower, scale = self.adapter, self.network.logit_scale
        return {
            "model_id": self.model_id,
            "layers": tower.layers,
            "heads": tower.heads,
            "head_dim": tower.head_dim,
            "width": tower.width,
            "embed_dim": tower.embed_dim,
            "patch_size": tower.patch_size,
            "image_size": tower.image_size,
            "pool_heads": tower.pool_heads or None,
            "pooling": tower.pooling,
            "adapter": tower.name,
            "preprocess": self.preprocess.to_json(),
            "weights_sha256": self.weights_sha256,
            "tensors_sha256": self.tensors_sha256,
            "config": None if self.config is None else json.dumps(self.config, sort_keys=True),
            "logit_scale": None if scale is None else float(scale.exp()),
            "logit_bias": None if self.logit_bias is None else float(self.logit_bias),
            "reconstruction_error": reconstruction_error,
        }
