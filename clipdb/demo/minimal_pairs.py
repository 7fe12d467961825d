"""Pairs of scenes that differ in one property and in nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from PIL import Image

from .scenes import PROPERTIES, VALUES, Scene, compose, generator, sample

PARTS: Final = ("background", "place", "shape", "texture", "style")
"""What has random numbers of its own, as `compose` calls it."""

Drawn = tuple[Scene, Image.Image]


def draw_pairs(count: int, seed: int) -> Iterator[tuple[str, int, tuple[Drawn, Drawn]]]:
    """Draw so many pairs for each property: its name, the pair's number, and both scenes with their pictures.

    Pair i of every property begins with scene i of the world `seed`, whose random numbers come from streams that are
    the same in both pictures, one for each part and object.
    """
    for name in PROPERTIES:
        for index in range(count):
            rng = generator(seed, index)
            scene = sample(rng)
            other = str(rng.choice([value for value in VALUES[name] if value != getattr(scene, name)]))
            changed = replace(scene, **{name: other})
            yield name, index, (_drawn(scene, seed, index), _drawn(changed, seed, index))


def _drawn(scene: Scene, seed: int, index: int) -> Drawn:
    def stream(part: str, number: int) -> np.random.Generator:
        return np.random.default_rng([seed, index, 1 + PARTS.index(part), number])

    return scene, Image.fromarray(compose(scene, stream)[0])
