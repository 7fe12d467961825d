"""Memory while ingesting doesn't grow with the number of images."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Process

# From some 200 images on the queues are full, and memory stays what it is but for 20 to 60 MB that the allocator and
# Lance's compaction take or leave, over 1,200 images as over 6,000. Keeping the files of the longer run would take
# 240 MB more, their input to the model 98 MB.
FEW, MANY = 400, 2400
BOUND = 80


def peak(process: Process) -> float:
    """Follow a run to its end; return the most memory that it held, in MB."""
    most = 0.0
    while process.runs:
        most = max(most, process.peak)
        time.sleep(0.02)
    assert process.wait() == 0, process.log.read_text()
    return most


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_images(model: tuple, tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    rng = np.random.default_rng(5)
    for number in range(MANY):
        file = many / f"{number:04}.bmp"
        Image.fromarray(rng.integers(0, 256, (200, 200, 3), np.uint8)).save(file)
        if number < FEW:
            os.link(file, few / file.name)
    peaks = [
        peak(
            Process(
                tmp_path / "log", "ingest", "images", folder, *model, "--workers", 1, "-i", tmp_path / f"{n}.clipdb"
            )
        )
        for n, folder in enumerate((few, many))
    ]
    assert peaks[1] - peaks[0] < BOUND, peaks
