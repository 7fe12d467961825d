"""Two bits for each number of a vector: how near the estimates are, by numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest

from clipdb.schema.image_codes import encoded, turn
from clipdb.schema.property_index import Part


@pytest.mark.parametrize("size", [30, 64, 257])
def test_estimates_are_near_and_not_to_one_side(size: int) -> None:
    rng = np.random.default_rng(0)
    units = rng.normal(size=(2000, size))
    units[:, 10:] = 0
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    turned = (units @ turn(size)).astype(np.float32)
    centre = turned[:1000].mean(axis=0)
    codes, scales, offsets = encoded(turned[1000:], np.tile(centre, (1000, 1)))
    assert codes.shape == (1000, -(-size // 4))
    part = Part(centre, np.arange(1000, dtype=np.uint32), codes, scales, offsets)
    wrong = np.stack([part.estimates(query) for query in turned[:50]]) - units[:50] @ units[1000:].T
    assert wrong.std() < 0.5 / size**0.5 and abs(wrong.mean()) < 0.01


@pytest.mark.parametrize("size", [1, 7, 512])
def test_turning_keeps_lengths_and_angles(size: int) -> None:
    turned = turn(size).astype(np.float64)
    assert turned @ turned.T == pytest.approx(np.eye(size), abs=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        turn(size)[0] = 0


def test_an_image_in_the_centre_of_its_part_is_where_the_centre_is() -> None:
    centre = np.full((1, 4), 0.5, np.float32)
    part = Part(centre[0], np.zeros(1, np.uint32), *encoded(centre, centre))
    assert part.estimates(np.array([1, 0, 0, 0], np.float32)) == pytest.approx(0.5)
    assert Part.stored(**part.columns()).estimates(centre[0]) == pytest.approx(1)
