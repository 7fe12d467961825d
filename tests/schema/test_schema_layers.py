"""Choices of layers."""

from __future__ import annotations

import pytest

from clipdb.errors import ClipdbError
from clipdb.schema.layer_choice import parse_layers
from clipdb.schema.names import POOL, head_column, head_name, parse_head


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


@pytest.mark.parametrize(
    ("text", "layers", "chosen"),
    [
        ("pool", 12, [POOL]),
        ("all", 2, [POOL, 0, 1]),
        ("all", 0, [POOL]),
        ("pool,last2", 4, [POOL, 2, 3]),
        ("last4", 12, [8, 9, 10, 11]),
    ],
)
def test_layers_of_a_model_whose_pooling_has_heads(text: str, layers: int, chosen: list[int]) -> None:
    assert parse_layers(text, layers, pool=True) == chosen


@pytest.mark.parametrize(
    ("text", "layers", "pool", "said"),
    [
        ("pool", 12, False, "the model's pooling has no heads"),
        ("last4", 0, True, "only the model's pooling has heads"),
        ("12", 12, True, "the model has 12 layers, 0 to 11"),
        ("-1", 12, True, "write last4, all, 8-11"),
    ],
)
def test_layers_that_are_not_there(text: str, layers: int, pool: bool, said: str) -> None:
    with pytest.raises(ClipdbError, match=said):
        parse_layers(text, layers, pool=pool)


def test_heads_are_written_and_read_alike() -> None:
    for head, name, column in (((11, 3), "L11.H3", "l11h3"), ((POOL, 12), "P.H12", "ph12")):
        assert (head_name(*head), head_column(*head)) == (name, column)
        assert parse_head(name) == parse_head(column) == parse_head(name.lower()) == head
    for wrong in ("P.3", "PH", "L.H3", "P1.H3", "l11"):
        with pytest.raises(ClipdbError, match="is not a head"):
            parse_head(wrong)
