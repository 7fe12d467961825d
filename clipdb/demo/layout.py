"""Where the objects of a scene go: how many, how large, and at which place."""

from __future__ import annotations

from typing import Final

import numpy as np

COUNTS: Final = ("one", "two", "three", "four", "five")
SIZES: Final = ("small", "large")
POSITIONS: Final = ("left", "right", "top", "bottom", "centre")

# Diameters in pixels by count. More objects are smaller so that they fit, but every small one is smaller than every
# large one, so that size can be seen in a picture without counting.
_DIAMETERS: Final[dict[str, tuple[float, ...]]] = {
    "small": (15.5, 14.5, 14.0, 13.5, 13.0),
    "large": (28.0, 24.0, 21.0, 20.0, 17.0),
}
_GAP: Final = 3.5
_MARGIN: Final = 2.0

# Objects in each row of an upright group; a lying group has these as columns.
_ROWS: Final[tuple[tuple[tuple[int, ...], ...], ...]] = (
    ((1,),),
    ((1, 1), (2,)),
    ((1, 2), (2, 1)),
    ((2, 2),),
    ((2, 1, 2), (2, 2, 1), (1, 2, 2)),
)


def place(
    count: str, size: str, position: str, edge: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Choose centres and radii for the objects of a scene.

    Parameters
    ----------
    count, size, position
        Values of the three properties. `position` is the side of the frame that the group keeps to.
    edge
        Width and height of the frame in pixels.
    rng
        Chooses the arrangement, and the place where the position leaves room.

    Returns
    -------
    list of (x, y, radius) in pixels, origin at the top left. Objects keep at least two pixels from the frame and
    are always apart.
    """
    number = COUNTS.index(count)
    diameter = _DIAMETERS[size][number] * rng.uniform(0.97, 1.03)
    forms = _ROWS[number]
    centres = _grid(forms[int(rng.integers(len(forms)))], diameter + _GAP)
    lying = position in ("top", "bottom") or (position == "centre" and rng.random() < 0.5)
    if lying:
        centres = centres[:, ::-1]
    low, high = centres.min(axis=0) - diameter / 2, centres.max(axis=0) + diameter / 2
    room = edge - 2 * _MARGIN - (high - low)
    corner = _MARGIN - low + room * _share_of_room(position, rng)
    return [(float(x), float(y), diameter / 2) for x, y in centres + corner]


def _grid(rows: tuple[int, ...], step: float) -> np.ndarray:
    points = [
        ((column - (length - 1) / 2) * step, row * step) for row, length in enumerate(rows) for column in range(length)
    ]
    return np.array(points, dtype=float)


def _share_of_room(position: str, rng: np.random.Generator) -> np.ndarray:
    """Choose how much of the free room lies left of and above the group, each between 0 and 1."""
    middle = rng.uniform(0.38, 0.62, size=2)
    side = rng.uniform(0.0, 0.1)
    match position:
        case "left":
            return np.array([side, middle[1]])
        case "right":
            return np.array([1 - side, middle[1]])
        case "top":
            return np.array([middle[0], side])
        case "bottom":
            return np.array([middle[0], 1 - side])
    return middle
