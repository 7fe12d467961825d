"""Choices of layers."""

from __future__ import annotations

import pytest

from clipdb.schema.layers import parse_layers


@pytest.mark.parametrize(
    ("text", "layers", "chosen"),
    [
        ("last4", 12, [8, 9, 10, 11]),
        ("last4", 4, [0, 1, 2, 3]),
        ("last4", 3, [0, 1, 2]),
        ("last9", 1, [0]),
        ("all", 2, [0, 1]),
        ("0,2-3", 4, [0, 2, 3]),
    ],
)
def test_layers_that_a_choice_names(text: str, layers: int, chosen: list[int]) -> None:
    assert parse_layers(text, layers) == chosen
