"""The simulation of a cluster's driver, where what must come out can be said without it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

FREE = {"window": 0.0, "commit": 0.0, "fragment": 0.0, "row": 0.0, "held": 0.0, "compaction": 0.0, "indexed": 0.0}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import driver_model  # type: ignore[import-not-found]

    return sys.modules[driver_model.__name__]


def test_a_driver_that_costs_nothing_keeps_all_actors_busy(model: ModuleType) -> None:
    found = model.simulate(1_000_000, model.Actors(10, 100.0, 100), model.Costs(**FREE))
    assert found.seconds == pytest.approx(1_000_000 / 1000, rel=0.02)
    assert (found.busy, found.redone, found.deaths) == (0, 0, 0)


def test_a_slow_driver_is_what_the_time_goes_by(model: ModuleType) -> None:
    found = model.simulate(100_000, model.Actors(50, 1000.0, 100), model.Costs(**FREE | {"window": 0.05}))
    assert found.seconds == pytest.approx(100_000 / 100 * 0.05, rel=0.02)
    assert found.busy == pytest.approx(1, abs=0.01)


def test_commits_come_after_a_time_or_a_number_of_images(model: ModuleType) -> None:
    slow = model.simulate(10_000, model.Actors(1, 10.0, 10), model.Costs(**FREE))
    assert slow.commits == pytest.approx(1000 / 6, rel=0.1)  # the first window's end after five seconds: the sixth
    fast = model.simulate(409_600, model.Actors(4, 1024.0, 1024), model.Costs(**FREE))
    assert fast.commits == 100
    dear = model.simulate(409_600, model.Actors(4, 1024.0, 1024), model.Costs(**FREE | {"commit": 0.4}))
    assert dear.commits < 50  # ten times as long must have passed as the last commit took


def test_the_index_of_ids_takes_in_what_is_new_and_is_merged_at_times(model: ModuleType) -> None:
    costs = model.Costs(**FREE | {"indexed": 1e-6})
    found = model.simulate(64 * 4096 * 18, model.Actors(1, 1e3, 4096), costs)
    assert found.compactions == 18
    assert found.busy * found.seconds == pytest.approx(1e-6 * 64 * 4096 * (16 + 17 + 1))


def test_what_dead_actors_had_is_done_again(model: ModuleType) -> None:
    actors = model.Actors(20, 100.0, 1000, start=30, deaths=36)
    found = model.simulate(2_000_000, actors, model.Costs(**FREE), seed=1)
    windows = 2_000_000 / 1000
    assert found.deaths == pytest.approx(windows * 0.1 / 0.9, rel=0.25)  # each of 10 s dies in one of ten cases
    assert found.redone == 1000 * found.deaths
    ideal, lost = 2_000_000 / 2000, found.deaths * (30 + 10) / 20
    assert found.seconds == pytest.approx(ideal + lost, rel=0.1)
