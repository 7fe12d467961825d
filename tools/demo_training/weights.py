"""From an open_clip model to its training form and back to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from .data import Vocabulary


def initialise(model: Any, vocabulary: Vocabulary) -> nn.Parameter:
    """Give the image tower a two-dimensional sense of place; returns the token embedding of the known tokens."""
    visual = model.visual
    side = int(np.sqrt(len(visual.positional_embedding) - 1))
    with torch.no_grad():
        visual.positional_embedding[1:] = 0.6 * _waves(side, visual.positional_embedding.shape[1])
    return nn.Parameter(model.token_embedding.weight.detach()[vocabulary.tokens].clone())


def _waves(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column, as in Vaswani et al. (arXiv 1706.03762, section 3.5): [side^2, width]."""
    rates = 1 / 100 ** (torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.flatten()[:, None] * rates for place in (rows, columns)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], dim=1)


def save(model: Any, embedding: Tensor, vocabulary: Vocabulary, path: Path) -> None:
    """Write a plain open_clip state dict in float16, zero rows for tokens that never occurred, readable by all."""
    state = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    table = torch.zeros_like(state["token_embedding.weight"])
    table[vocabulary.tokens] = embedding.detach().to(torch.float16)
    state["token_embedding.weight"] = table
    state.pop("attn_mask", None)
    save_file(state, path)
    path.chmod(0o644)
