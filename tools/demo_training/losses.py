"""What training minimises."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from clipdb.demo.scenes import VALUES

SIZES = [len(values) for values in VALUES.values()]


def contrastive(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric loss (Radford et al., arXiv 2103.00020, figure 3) on unit vectors [B, D]."""
    logits = scale * images @ texts.T
    target = torch.arange(len(logits))
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def by_property(logits: Tensor, labels: Tensor) -> Tensor:
    """Average over the properties the cross-entropy within each property's values: logits [B, 52], labels [B, 8]."""
    groups = logits.split(SIZES, dim=1)
    losses = [functional.cross_entropy(group, labels[:, number]) for number, group in enumerate(groups)]
    return torch.stack(losses).mean()


def head_clarity(heads: Tensor, phrases: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Ask each head for one property, and the heads together for all of them.

    For a head, `seen` is the distribution over properties of its variance between groups of equal value, and
    `written` that of its energy along the properties' phrases (what TEXTSPAN sees). Their cross-entropy is small
    when both name the same single property.

    Parameters
    ----------
    heads
        Contributions [B, H, D].
    phrases
        Unit text embeddings [52, D], grouped by property.
    labels
        Value numbers [B, 8].

    Returns
    -------
    cross_entropy
        Mean over the heads, in nats.
    uncovered
        log 8 minus the entropy of `written` averaged over the heads: 0 when every property has as many heads.
    """
    count = len(heads)
    centred = heads - heads.mean(dim=0)
    total = centred.square().sum(dim=(0, 2))
    between = []
    for number, size in enumerate(SIZES):
        member = functional.one_hot(labels[:, number], size).float()
        sums = torch.einsum("bv,bhd->vhd", member, centred)
        squares = sums.square().sum(dim=2) / member.sum(dim=0).clamp(min=1)[:, None]
        # Groups of pure noise differ a little too: this is how much.
        chance = (size - 1) / (count - 1) * total
        between.append((squares.sum(dim=0) - chance) / total)
    seen = torch.stack(between, dim=1).clamp(min=1e-3)
    energy = torch.einsum("bhd,vd->bhv", centred, phrases).square().mean(dim=0)
    written = torch.stack([part.mean(dim=1) for part in energy.split(SIZES, dim=1)], dim=1)
    seen, written = (share / share.sum(dim=1, keepdim=True) for share in (seen, written))
    cross_entropy = -(seen * written.clamp(min=1e-6).log()).sum(dim=1).mean()
    mean = written.mean(dim=0)
    uncovered = math.log(len(SIZES)) + (mean * mean.clamp(min=1e-12).log()).sum()
    return cross_entropy, uncovered
