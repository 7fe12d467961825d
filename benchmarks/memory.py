"""Peak memory of an ingest of many images against that of an ingest of a tenth of them.

    python benchmarks/memory.py

The model is the packaged architecture with random weights and the images are tiny, so that numbers of images show and
nothing else does.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import open_clip
from measure import report
from PIL import Image
from safetensors.torch import save_file

from clipdb import demo

CLIPDB = Path(sys.executable).with_name("clipdb")
FEWER = 10
ARCH = demo.MODEL_ID.split("/")[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_weights(folder / "random.safetensors")
        few, many = (peak_mib(folder, images) for images in (options.images // FEWER, options.images))
    report(
        f"memory, ingest of {options.images:,} images: peak over that of {options.images // FEWER:,}",
        many / few,
        most=1.1,
        detail=f"{many:.0f} against {few:.0f} MiB",
    )


def peak_mib(folder: Path, images: int) -> float:
    """Ingest in a process of its own and return the most memory that it held at once (Linux)."""
    source = folder / f"{images}"
    source.mkdir()
    random = np.random.default_rng(images)
    for number in range(images):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{number:06}.png")
    command = [str(CLIPDB), "ingest", "images", str(source), "--index", str(folder / f"{images}.clipdb")]
    command += ["--model", f"{ARCH}/random", "--checkpoint", str(folder / "random.safetensors"), "--device", "cpu"]
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_maxrss / 1024


def save_weights(path: Path) -> None:
    logging.disable(logging.WARNING)  # open_clip would warn that the weights are random
    open_clip.add_model_config(demo.MODEL_CONFIG)
    save_file({name: tensor.contiguous() for name, tensor in open_clip.create_model(ARCH).state_dict().items()}, path)


if __name__ == "__main__":
    main()
