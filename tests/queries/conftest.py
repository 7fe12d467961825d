from __future__ import annotations

import pytest
from built_index import Built, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One model."""
    return build(tmp_path_factory.mktemp("one") / "one.clipdb")


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Two models over the same images."""
    return build(tmp_path_factory.mktemp("two") / "two.clipdb", models=("one/a", "two/b"))
