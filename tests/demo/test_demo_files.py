"""Writing scenes to a folder, and what importing the demo costs."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from clipdb.demo import GROUND_TRUTH, write_scenes
from clipdb.demo.scenes import draw, generator, sample


def test_pictures_and_ground_truth_belong_together(tmp_path: Path):
    written = write_scenes(tmp_path / "new" / "scenes", 12, seed=4)
    with (tmp_path / "new" / "scenes" / GROUND_TRUTH).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row.pop("file") for row in rows] == [path.name for path, _ in written]
    assert rows == [asdict(scene) for _, scene in written]
    for index, (path, scene) in enumerate(written):
        rng = generator(4, index)
        assert sample(rng) == scene
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            assert np.array_equal(np.asarray(picture), draw(scene, rng)[0])


def test_a_longer_run_begins_with_the_shorter_one(tmp_path: Path):
    short = write_scenes(tmp_path / "short", 3, seed=4)
    long = write_scenes(tmp_path / "long", 5, seed=4)

    assert [scene for _, scene in short] == [scene for _, scene in long[:3]]
    assert all(a.read_bytes() == b.read_bytes() for (a, _), (b, _) in zip(short, long, strict=False))


def test_the_package_and_its_captions_load_no_torch():
    code = "import sys, clipdb.demo.captions; sys.exit(bool({'torch', 'open_clip'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_alone_loads_no_pillow():
    code = "import sys, clipdb.demo; sys.exit('PIL' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
