"""The ten backgrounds: muted, so that objects stand out, each with a structure of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

Painter = Callable[[int, np.random.Generator], np.ndarray]


def _flat(edge: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, dtype=float), (edge, edge, 3)).copy()


def _grid(edge: int) -> tuple[np.ndarray, np.ndarray]:
    columns, rows = np.meshgrid(np.arange(edge), np.arange(edge))
    return columns, rows


def _grass(edge: int, rng: np.random.Generator) -> np.ndarray:
    blades = np.repeat(rng.normal(0, 16, (edge // 4, edge)), 4, axis=0)
    return _flat(edge, (122, 158, 96)) + blades[..., None]


def _sand(edge: int, rng: np.random.Generator) -> np.ndarray:
    return _flat(edge, (214, 190, 140)) + rng.normal(0, 11, (edge, edge, 1))


def _water(edge: int, rng: np.random.Generator) -> np.ndarray:
    columns, rows = _grid(edge)
    phase = rng.uniform(0, 2 * np.pi, 2)
    waves = np.sin(rows * 0.9 + 1.5 * np.sin(columns * 0.25 + phase[0]) + phase[1])
    return _flat(edge, (72, 140, 160)) + 18 * waves[..., None]


def _sky(edge: int, rng: np.random.Generator) -> np.ndarray:
    coarse = rng.normal(0, 1, (5, 5))
    at = np.linspace(0, 4, edge)
    rows = np.array([np.interp(at, np.arange(5), line) for line in coarse])
    clouds = np.array([np.interp(at, np.arange(5), line) for line in rows.T]).T
    share = np.clip(clouds * 0.7 + 0.2, 0, 1)[..., None]
    return _flat(edge, (152, 194, 232)) * (1 - share) + 240 * share


def _snow(edge: int, rng: np.random.Generator) -> np.ndarray:
    flakes = rng.random((edge, edge, 1)) < 0.06
    return np.where(flakes, 255.0, _flat(edge, (205, 212, 222)))


def _night(edge: int, rng: np.random.Generator) -> np.ndarray:
    stars = rng.random((edge, edge, 1)) < 0.02
    return np.where(stars, 235.0, _flat(edge, (38, 40, 72)))


def _brick(edge: int, rng: np.random.Generator) -> np.ndarray:
    columns, rows = _grid(edge)
    shift = int(rng.integers(12))
    course = rows // 6
    joints = (rows % 6 == 0) | ((columns + shift + 6 * (course % 2)) % 12 == 0)
    return np.where(joints[..., None], 205.0, _flat(edge, (158, 94, 78)))


def _wood(edge: int, rng: np.random.Generator) -> np.ndarray:
    columns, _ = _grid(edge)
    shift = int(rng.integers(16))
    grain = np.repeat(rng.normal(0, 9, (1, edge)), edge, axis=0)
    seams = (columns + shift) % 16 == 0
    return _flat(edge, (176, 136, 92)) + (grain - 78 * seams)[..., None]


def _tiles(edge: int, rng: np.random.Generator) -> np.ndarray:
    columns, rows = _grid(edge)
    shift = rng.integers(16, size=2)
    dark = ((columns + shift[0]) // 8 + (rows + shift[1]) // 8) % 2 == 0
    return np.where(dark[..., None], _flat(edge, (150, 150, 156)), _flat(edge, (188, 188, 192)))


def _sunset(edge: int, rng: np.random.Generator) -> np.ndarray:
    height = np.clip(np.linspace(0, 1, edge) + rng.uniform(-0.12, 0.12), 0, 1)[:, None, None]
    return _flat(edge, (138, 104, 158)) * (1 - height) + _flat(edge, (246, 178, 122)) * height


BACKGROUNDS: Final[dict[str, Painter]] = {
    "grass": _grass,
    "sand": _sand,
    "water": _water,
    "sky": _sky,
    "snow": _snow,
    "night": _night,
    "brick": _brick,
    "wood": _wood,
    "tiles": _tiles,
    "sunset": _sunset,
}


def paint_background(name: str, edge: int, rng: np.random.Generator) -> np.ndarray:
    """Paint a background.

    Returns
    -------
    float64 array, shape (edge, edge, 3), values around 0 to 255, with a random brightness.
    """
    return BACKGROUNDS[name](edge, rng) + rng.uniform(-10, 10)
