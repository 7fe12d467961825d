"""What objects look like (colour, texture) and what the whole picture looks like (style)."""

from __future__ import annotations

from typing import Final

import numpy as np

COLOURS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (214, 32, 38),
    "orange": (245, 132, 20),
    "yellow": (248, 220, 40),
    "green": (30, 165, 62),
    "blue": (32, 84, 214),
    "purple": (132, 44, 172),
    "pink": (250, 136, 190),
    "brown": (120, 70, 30),
    "black": (24, 24, 28),
    "white": (246, 246, 246),
}
TEXTURES: Final = ("solid", "striped", "dotted", "checked", "shaded")
STYLES: Final = ("clean", "grainy", "blurry", "faded", "interlaced")

_DARK: Final = np.array((16.0, 16.0, 22.0))
_LIGHT: Final = np.array((228.0, 228.0, 228.0))


def outline_of(colour: str) -> np.ndarray:
    """RGB of the line around objects of a colour: dark, but light around black ones."""
    return _LIGHT if colour == "black" else _DARK


def paint_texture(
    colour: str, texture: str, centre: tuple[float, float], edge: int, rng: np.random.Generator
) -> np.ndarray:
    """Fill a frame with a colour in a texture; the caller cuts the object out of it.

    Returns
    -------
    float64 array, shape (edge, edge, 3). Most of it is the colour itself, varied a little; the marks of a texture
    are a lighter tint, or a darker shade for light colours.
    """
    base = np.clip(np.array(COLOURS[colour], dtype=float) + rng.normal(0, 5, 3), 0, 255)
    light = base @ (0.3, 0.59, 0.11) > 150
    mark = base * 0.42 if light else base + (255 - base) * 0.62
    share = _marks(texture, centre, edge)[..., None]
    return base * (1 - share) + mark * share


def _marks(texture: str, centre: tuple[float, float], edge: int) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(edge) + 0.5 - centre[0], np.arange(edge) + 0.5 - centre[1])
    match texture:
        case "striped":
            return ((rows + 0.8) % 4 < 1.6).astype(float)
        case "dotted":
            return (np.hypot((columns + 2) % 4 - 2, (rows + 2) % 4 - 2) < 1.15).astype(float)
        case "checked":
            return ((columns // 3 + rows // 3) % 2 == 0).astype(float)
        case "shaded":
            return np.clip(rows / 13 + 0.35, 0, 1)
    return np.zeros((edge, edge))


def apply_style(canvas: np.ndarray, style: str, rng: np.random.Generator) -> np.ndarray:
    """Change a whole picture (float64, rows x columns x 3, around 0 to 255) into a style."""
    match style:
        case "grainy":
            return canvas + rng.normal(0, 20, (*canvas.shape[:2], 1))
        case "blurry":
            return _soften(canvas)
        case "faded":
            return canvas * 0.5 + 106
        case "interlaced":
            lines = np.arange(len(canvas)) % 2 == 0
            return np.where(lines[:, None, None], canvas, canvas * 0.66)
    return canvas


def _soften(canvas: np.ndarray) -> np.ndarray:
    padded = np.pad(canvas, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
