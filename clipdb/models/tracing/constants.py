"""What a partition has beside heads and MLPs, as vectors that are the same for all images and a few numbers of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from clipdb.models.tracing.composition import Part
from clipdb.models.tracing.operations import Stem
from clipdb.models.tracing.recording import Recording

_SAME = 1e-5  # how far the beginnings of the stream may differ over their largest number: rounding


@dataclass(frozen=True)
class Constants:
    """Constants of a tower, those put together that the same numbers multiply.

    Attributes
    ----------
    map
        A column a vector, float64 ``[D, n]``.
    parts
        One part of each group, whose `Recording.counts` are what an image has of the group's columns.
    """

    map: torch.Tensor
    parts: tuple[Part, ...]

    def counts(self, record: Recording) -> torch.Tensor:
        """Return what each image has of the columns, float32 ``[batch, n]``."""
        return torch.cat([record.counts(part) for part in self.parts], dim=1).float()


def gather(parts: Iterable[Part], stem: torch.Tensor | None) -> Constants:
    """Put together constants that are weighed and divided alike.

    Parameters
    ----------
    parts
        Constants, and the beginning of the stream if that is one.
    stem
        What the stream begins with for every image, ``[d]``.
    """
    columns: dict[object, torch.Tensor] = {}
    groups: dict[object, Part] = {}
    for part in parts:
        key = part.by_token, part.once, part.behind
        if isinstance(part.source, Stem):
            assert stem is not None
            vectors = part.maps @ stem.double()  # G D
        else:
            vectors = part.maps[..., 0]
        columns[key] = columns[key] + vectors if key in columns else vectors
        groups[key] = part
    return Constants(torch.cat(list(columns.values())).T, tuple(groups.values()))


def fixed(begins: torch.Tensor) -> torch.Tensor | None:
    """Return what the stream begins with at the pooled token, ``[d]``; None if two images differ in it.

    Parameters
    ----------
    begins
        Of two unlike images, ``[2, tokens, d]``.
    """
    one, other = begins.double()
    same = one.shape[0] == 1 and (one - other).abs().max() <= _SAME * one.abs().max()
    return one[0] if same else None
