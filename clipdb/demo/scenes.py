"""The demo's world: small scenes whose every property is known.

A scene is one to five equal objects on a background. Eight properties describe it completely, each drawn
independently and uniformly, so whatever a model says about a picture can be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from .backgrounds import BACKGROUNDS, paint_background
from .layout import COUNTS, POSITIONS, SIZES, place
from .silhouettes import SHAPES, silhouette
from .surfaces import COLOURS, STYLES, TEXTURES, apply_style, outline_of, paint_texture

EDGE: Final = 64
"""Width and height of a scene in pixels."""

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "colour": tuple(COLOURS),
    "shape": tuple(SHAPES),
    "texture": TEXTURES,
    "count": COUNTS,
    "size": SIZES,
    "position": POSITIONS,
    "background": tuple(BACKGROUNDS),
    "style": STYLES,
}
"""Every property with the values that it takes, in the order in which they are numbered."""

PROPERTIES: Final = tuple(VALUES)

_OVERSAMPLING: Final = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows: one value for each property."""

    colour: str
    shape: str
    texture: str
    count: str
    size: str
    position: str
    background: str
    style: str

    def indices(self) -> tuple[int, ...]:
        """Number each value by its place in `VALUES`, in the order of `PROPERTIES`."""
        return tuple(VALUES[name].index(getattr(self, name)) for name in PROPERTIES)


def generator(seed: int, index: int) -> np.random.Generator:
    """Random numbers of scene number `index` in the world `seed`: the same on every machine."""
    return np.random.default_rng([seed, index])


def sample(rng: np.random.Generator) -> Scene:
    """Draw a scene, every property independently and uniformly."""
    return Scene(**{name: values[int(rng.integers(len(values)))] for name, values in VALUES.items()})


def draw(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Paint a scene and say where its objects are.

    Parameters
    ----------
    scene
        What to show.
    rng
        Decides what the properties leave open: tilt, shade, exact place, grain.

    Returns
    -------
    pixels : uint8 array, shape (64, 64, 3)
    coverage : float64 array, shape (64, 64)
        Share of each pixel that an object covers, outline not counted. No object touches the frame or another.
    """
    return compose(scene, lambda part, number: rng)


def compose(scene: Scene, stream: Callable[[str, int], np.random.Generator]) -> tuple[np.ndarray, np.ndarray]:
    """Paint a scene as `draw` does, with the random numbers of each part from a generator of its own.

    Parameters
    ----------
    scene
        What to show.
    stream
        Gives the generator of a part (background, place, shape, texture or style) and the number of its object: where
        these are the same, two scenes differ in nothing but their properties.
    """
    canvas = paint_background(scene.background, EDGE, stream("background", 0))
    coverage = np.zeros((EDGE, EDGE))
    paint = np.zeros((EDGE, EDGE, 3))
    places = place(scene.count, scene.size, scene.position, EDGE, stream("place", 0))
    for number, (x, y, radius) in enumerate(places):
        left, top, edge = int(x - radius), int(y - radius), int(2 * radius) + 2
        window = slice(top, top + edge), slice(left, left + edge)
        of_shape, of_texture = stream("shape", number), stream("texture", number)
        coverage[window] = _object_coverage(scene.shape, x - left, y - top, radius, edge, of_shape)
        paint[window] = paint_texture(scene.colour, scene.texture, (x - left, y - top), edge, of_texture)
    spread = _spread(coverage)
    canvas = _blend(canvas, outline_of(scene.colour), spread)
    canvas = _blend(canvas, paint, coverage)
    styled = apply_style(canvas, scene.style, stream("style", 0))
    return np.clip(np.rint(styled), 0, 255).astype(np.uint8), coverage


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Paint a scene as a 64 x 64 RGB picture; the same picture for the same generator state."""
    return Image.fromarray(draw(scene, rng)[0])


def _object_coverage(shape: str, x: float, y: float, radius: float, edge: int, rng: np.random.Generator) -> np.ndarray:
    tilt = np.deg2rad(rng.uniform(-8, 8))
    steps = (np.arange(edge * _OVERSAMPLING) + 0.5) / _OVERSAMPLING
    columns, rows = np.meshgrid((steps - x) / radius, (steps - y) / radius)
    across = columns * np.cos(tilt) + rows * np.sin(tilt)
    down = rows * np.cos(tilt) - columns * np.sin(tilt)
    fine = silhouette(shape, across, down).reshape(edge, _OVERSAMPLING, edge, _OVERSAMPLING)
    return fine.mean(axis=(1, 3))


def _spread(coverage: np.ndarray) -> np.ndarray:
    """Grow a mask by one pixel on every side: the outline's place."""
    rows = np.maximum(coverage, np.maximum(np.roll(coverage, 1, 0), np.roll(coverage, -1, 0)))
    return np.maximum(rows, np.maximum(np.roll(rows, 1, 1), np.roll(rows, -1, 1)))


def _blend(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    return under + (over - under) * share[..., None]
