"""Ingest of JPEG photographs, end to end, against the bare forward pass on images that are decoded already.

    python benchmarks/ingest.py

The rate of an ingest counts everything from the moment the model is loaded until the command is done: starting the
decoders, the proof of exactness, reading, hashing, decoding, every commit, compaction and the heads' statistics. The
bare forward pass is ``model.encode_image`` of the same model on one preprocessed batch, over and over.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import open_clip
import torch
from measure import Comparison, report
from photos import write_photos
from safetensors.torch import save_file

from clipdb._util.stages import Progress
from clipdb.ingest.images.image_ingest import ingest_images
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.models.loading import load
from clipdb.models.model import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32", help="Architecture; weights are random.")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind = write_photos(folder / "photos", options.images)
        print(f"{options.images} {kind}; {os.cpu_count()} cores, {options.threads} threads", file=sys.stderr)
        checkpoint = random_weights(options.model, folder)
        model = load(f"{options.model}/random", checkpoint)
        bare_seconds(model, 2 * options.batch, options.batch)  # warm up
        bare, ingests = [], []
        for _ in range(options.repeats):
            bare.append(bare_seconds(model, options.images, options.batch))
            ingests.append(ingest_seconds(folder, checkpoint, options))
    timing = Comparison(bare, ingests)
    rates = [options.images * len(s) / sum(s) for s in (ingests, bare)]
    report(
        f"ingest of {options.images:,} JPEGs, {options.model}: rate over the bare forward pass's",
        1 / timing.ratio,
        least=0.85,
        detail=f"pairs {1 / timing.ratios[-1]:.2f} to {1 / timing.ratios[0]:.2f}; {rates[0]:.1f} against "
        f"{rates[1]:.1f} images/s",
    )


def random_weights(arch: str, folder: Path) -> Path:
    logging.disable(logging.WARNING)  # open_clip would warn that the weights are random
    torch.manual_seed(0)
    weights = {name: tensor.contiguous() for name, tensor in open_clip.create_model(arch).state_dict().items()}
    save_file(weights, folder / "random.safetensors")
    return folder / "random.safetensors"


@torch.inference_mode()
def bare_seconds(model: Model, images: int, batch: int) -> float:
    """Time the forward passes alone."""
    side = model.preprocess.image_size
    pixels = model.pixels_to_input(torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8))
    start = time.perf_counter()
    for first in range(0, images, batch):
        model.network.encode_image(pixels[: images - first])
    return time.perf_counter() - start


def ingest_seconds(folder: Path, checkpoint: Path, options: argparse.Namespace) -> float:
    """Time an ingest into a new index, from the moment that its model is loaded."""
    index, loaded = folder / "benchmark.clipdb", 0.0

    def mark(total: int | None) -> None:
        nonlocal loaded
        loaded = time.perf_counter()

    how = ImageOptions(checkpoint=checkpoint, batch_size=options.batch, workers=options.workers)
    counts = ingest_images(index, [str(folder / "photos")], f"{options.model}/random", how, Progress(total=mark))
    ended = time.perf_counter()
    assert counts.added == options.images, counts
    shutil.rmtree(index)
    return ended - loaded


if __name__ == "__main__":
    main()
