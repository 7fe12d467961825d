"""Outlines of the ten shapes, as conditions on a unit frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

Condition = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x**2 + y**2 <= 0.92**2


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) <= 0.84


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (y <= 0.8) & (abs(x) <= (y + 0.95) * 0.55)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # Five points: the radius falls along a straight edge from each tip (1) to each notch (0.42).
    sector = 2 * np.pi / 5
    angle = abs((np.arctan2(x, -y) + sector / 2) % sector - sector / 2)
    notch_x, notch_y = 0.42 * np.sin(sector / 2), 0.42 * np.cos(sector / 2)
    radius = np.hypot(x, y)
    along, beside = radius * np.cos(angle), radius * np.sin(angle)
    return (1 - along) * notch_x - beside * (1 - notch_y) >= 0


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    wide, up = x * 1.2, 0.22 - y * 1.12
    return (wide**2 + up**2 - 1) ** 3 - wide**2 * up**3 <= 0


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (np.minimum(abs(x), abs(y)) <= 0.3) & (np.maximum(abs(x), abs(y)) <= 0.95)


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    radius = x**2 + y**2
    return (radius <= 0.97**2) & (radius >= 0.5**2)


def _diamond(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return abs(x) * 1.35 + abs(y) <= 1


def _moon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x**2 + y**2 <= 0.95**2) & ((x - 0.48) ** 2 + y**2 >= 0.72**2)


def _arrow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    head = (x >= 0) & (abs(y) <= (0.97 - x) * 0.95)
    shaft = (x >= -0.95) & (x <= 0) & (abs(y) <= 0.3)
    return head | shaft


SHAPES: Final[dict[str, Condition]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "cross": _cross,
    "ring": _ring,
    "diamond": _diamond,
    "moon": _moon,
    "arrow": _arrow,
}


def silhouette(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie inside a shape.

    Parameters
    ----------
    shape
        A key of `SHAPES`.
    x, y
        Points in units of the object's half width, origin at its centre, y downwards; any one shape.

    Returns
    -------
    bool array of the points' shape. Every silhouette lies within the unit square and is one connected piece.
    """
    return SHAPES[shape](x, y)
