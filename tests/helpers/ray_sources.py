"""Kinds of sources for tests of clusters, as a package brings them: slow tar shards, and one that ends its reader."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from clipdb.ingest.images.sources.item import SourceItem
from clipdb.ingest.images.sources.kinds.tar_shards import TarShard


class SlowTar(TarShard):
    """A tar shard whose images come one by one, so that there is time to kill whoever reads it."""

    suffixes = (".slowtar",)
    order = 0

    def __iter__(self) -> Iterator[SourceItem]:
        for item in super().__iter__():
            time.sleep(0.05)
            yield item


class Poisoned(TarShard):
    """A tar shard that nobody survives."""

    suffixes = (".poisoned",)
    order = 0

    def __iter__(self) -> Iterator[SourceItem]:
        for place, item in enumerate(super().__iter__()):
            if place == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item


def install(folder: Path) -> None:
    """Lay out, for ``PYTHONPATH``, what an installed package with these kinds leaves."""
    (folder / "slow_tars.py").write_text("from ray_sources import SlowTar as SOURCE\n")
    (folder / "poisoned_tars.py").write_text("from ray_sources import Poisoned as SOURCE\n")
    info = folder / "slow_tars-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-tars\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[clipdb.sources]\nslow = slow_tars\npoisoned = poisoned_tars\n")
