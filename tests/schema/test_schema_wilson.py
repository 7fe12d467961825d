"""Wilson's interval: against its definition, and how often it covers the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import duckdb
import numpy as np
import plain_metrics as plain
import pytest
from schema_rows import catalog


@pytest.fixture(scope="module")
def empty() -> Iterator[duckdb.DuckDBPyConnection]:
    with catalog() as connection:
        yield connection


def ends(db: duckdb.DuckDBPyConnection, n: int, level: float = 0.95) -> list[tuple[float, float]]:
    select = "select wilson_low(s, n, level := $level), wilson_high(s, n, level := $level) from (select $n as n), "
    return db.execute(f"{select} range($n + 1) as t(s) order by s", {"n": n, "level": level}).fetchall()


def test_quantiles_are_those_of_the_normal_distribution(empty: duckdb.DuckDBPyConnection) -> None:
    for level in (0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999999):
        found = empty.execute("select normal_quantile(level := ?)", [level]).fetchone()[0]
        assert found == pytest.approx(NormalDist().inv_cdf((1 + level) / 2), rel=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_an_interval_solves_wilsons_equation(empty: duckdb.DuckDBPyConnection, level: float) -> None:
    for n in (1, 2, 6, 24, 300, 5000):
        expected = [plain.interval(successes, n, level) for successes in range(n + 1)]
        np.testing.assert_allclose(ends(empty, n, level), expected, atol=1e-6)


def test_an_interval_covers_the_truth_with_few_heads_as_with_many(empty: duckdb.DuckDBPyConnection) -> None:
    for n in (6, 12, 24, 48):
        low, high = np.array(ends(empty, n)).T
        assert low[0] == 0 and high[-1] == 1 and (low < high).all()
        for p in (0.5, 0.8, 0.9, 0.95):
            probabilities = [math.comb(n, s) * p**s * (1 - p) ** (n - s) for s in range(n + 1)]
            assert np.dot(probabilities, (low <= p) & (p <= high)) >= 0.93


def test_of_nothing_there_is_no_interval_and_a_percentage_is_no_level(empty: duckdb.DuckDBPyConnection) -> None:
    select = "select wilson_low(s, n), wilson_high(s, n) from (values (0, 0), (null, 3), (null, 0)) as t(s, n)"
    assert set(empty.execute(select).fetchall()) == {(None, None)}
    for level in (0, 1, 95):
        with pytest.raises(duckdb.Error, match=r"level is a fraction between 0 and 1, for example \.95"):
            ends(empty, 3, level)
