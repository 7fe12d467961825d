"""Which pools come with clipdb, and what asking for one costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clipdb import pools
from clipdb.errors import ClipdbError


def test_both_pools_are_listed_under_their_keys() -> None:
    shipped = pools.shipped()
    assert list(shipped) == ["general", "scenes"]
    assert all(name == pool.name for name, pool in shipped.items())
    assert all(pool.title and pool.source and pool.licence == "Apache-2.0" for pool in shipped.values())


def test_scenes_are_the_captions_of_the_demo() -> None:
    from clipdb.demo.captions import scene_pool

    scenes = pools.load("scenes")
    assert [tuple(row) for row in scenes] == scene_pool()
    assert len({row.text for row in scenes}) == len(scenes)
    assert {"colour", "shape", "count"} & {row.property for row in scenes}


def test_loading_twice_gives_equal_and_separate_lists() -> None:
    first = pools.load("general")
    first.clear()
    assert len(pools.load("general")) >= 3500


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("genral", "did you mean general?"),
        ("Scene", "did you mean scenes?"),
        ("qqq", "there are general and scenes"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(name: str, hint: str) -> None:
    with pytest.raises(ClipdbError) as caught:
        pools.load(name)
    assert str(caught.value) == f"clipdb ships no pool {name!r}: {hint}"


def test_general_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; from clipdb import pools; pools.load('general');"
        "heavy = {'torch', 'numpy', 'pyarrow', 'PIL', 'duckdb', 'lance', 'clipdb.demo'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
