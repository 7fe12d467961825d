"""The interval of by how much a share falls: against its formula, and how often it covers the truth."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import plain_metrics as plain
import pytest
from schema_rows import catalog


@pytest.fixture(scope="module")
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        yield connection


def interval(db: duckdb.DuckDBPyConnection, before: int, after: int, n: int) -> tuple[float, float]:
    given = {"before": before / n, "after": after / n, "n": n}
    found = db.execute("select drop_interval($before, $after, $n)", given).fetchone()[0]
    return found["low"], found["high"]


def test_its_ends_put_wilsons_together(empty: duckdb.DuckDBPyConnection) -> None:
    for before, after, n in ((100, 99, 100), (56, 48, 70), (0, 0, 20), (3, 9, 12), (20, 0, 20)):
        (low, high), (least, most) = (plain.interval(count, n, 0.95) for count in (before, after))
        fall = (before - after) / n
        below = ((before / n - low) ** 2 + (most - after / n) ** 2) ** 0.5
        above = ((high - before / n) ** 2 + (after / n - least) ** 2) ** 0.5
        assert interval(empty, before, after, n) == pytest.approx((fall - below, fall + above), abs=1e-6)
    assert empty.execute("select drop_interval(0.5, 0.5, 0).low").fetchone() == (None,)


def test_ten_of_ten_and_none_of_ten(empty: duckdb.DuckDBPyConnection) -> None:
    """As Newcombe 1998 has it, table II, method 10."""
    assert interval(empty, 10, 0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


@pytest.mark.parametrize(("right", "lost", "gained"), [(0.95, 0.02, 0.02), (0.9, 0.1, 0.0), (0.6, 0.1, 0.1)])
def test_it_covers_a_fall_over_the_same_images(
    empty: duckdb.DuckDBPyConnection, right: float, lost: float, gained: float
) -> None:
    """A share `right` of images is told right before, of which `lost` isn't after, and `gained` of all is."""
    random = np.random.default_rng(7)
    stay, fall, rise = right - lost, lost, gained
    drawn = random.multinomial(100, [stay, fall, rise, 1 - stay - fall - rise], size=400)
    before, after = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
    ends = np.array([interval(empty, int(b), int(a), 100) for b, a in zip(before, after, strict=True)])
    assert np.mean((ends[:, 0] <= lost - gained) & (lost - gained <= ends[:, 1])) >= 0.95
