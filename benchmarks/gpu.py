"""What an ingest costs on a GPU beside the model alone, and which of its steps is the slowest.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --precision fp32 --models ViT-S-32 --images 200 --batch 32   # to try it

Of each model, in one run: the bare forward pass, `capture` of the heads that an ingest keeps, and an ingest of JPEGs in
tar shards from the moment that the model is loaded to its end. Then the rate of each step alone: reading and hashing,
decoding, copying to the device and back, the bare forward pass, and writing (all commits of that ingest). The slowest
is the bottleneck: an ingest can't be faster, and in the best case it is as fast. Weights are random: they cost what
trained ones cost. An SSD that holds the shards in its cache reads faster than a disk or a network: see `--images`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from measure import alternate, report
from photos import write_photos

from clipdb._util.stages import Progress
from clipdb.ingest.images import image_ingest
from clipdb.ingest.images.image_options import ImageOptions
from clipdb.ingest.images.session import Session
from clipdb.ingest.images.sources import open_sources
from clipdb.ingest.images.stream import READERS, read_item
from clipdb.models.decomposition import Decomposer
from clipdb.models.host_copies import finish_line, pixel_memory, to_host
from clipdb.models.loading import device_name, load
from clipdb.models.model import Model
from clipdb.schema.names import POOL
from ingest import random_weights

MODELS = ("ViT-B-32", "ViT-L-14", "ViT-SO400M-14-SigLIP")
PER_SHARD = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--photos", type=int, default=2_000, help="So many are made; shards repeat them.")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--gpu-decode", action="store_true", help="Have the GPU decode, too.")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind = write_shards(folder, options)
        card = device_name(torch.device(options.device))
        print(f"{card}, {os.cpu_count()} cores, torch {torch.__version__}; {options.images} {kind}", file=sys.stderr)
        for arch in options.models:
            measure(arch, folder, options)


def write_shards(folder: Path, options: argparse.Namespace) -> str:
    """Write JPEGs into tar shards; each gets a number behind its end, so that all are different images."""
    kind = write_photos(folder / "photos", min(options.photos, options.images))
    made = [file.read_bytes() for file in sorted((folder / "photos").iterdir())]
    (folder / "shards").mkdir()
    for first in range(0, options.images, PER_SHARD):
        with tarfile.open(folder / "shards" / f"{first:08}.tar", "w") as shard:
            for number in range(first, min(first + PER_SHARD, options.images)):
                (folder / "one").write_bytes(made[number % len(made)] + number.to_bytes(8, "big"))
                shard.add(folder / "one", f"{number:08}.jpg")
    return kind


def measure(arch: str, folder: Path, options: argparse.Namespace) -> None:
    """Measure one model, and print its rows."""
    checkpoint = random_weights(arch, folder)
    model = load(f"{arch}/random", checkpoint, options.device, options.precision)
    images = model.pixels_to_input(torch.from_numpy(noise(model, options.batch)))
    pooled, last = model.adapter.pool_heads > 0, range(max(model.adapter.layers - 4, 0), model.adapter.layers)
    decomposer = Decomposer(model.adapter, [POOL] if pooled else list(last))

    @torch.inference_mode()
    def bare() -> None:
        model.network.encode_image(images)
        finish_line(model.device)()

    def capture() -> None:
        decomposer(images)
        finish_line(model.device)()

    timing = alternate(bare, capture, options.repeats)
    about = f"{arch} {options.precision}, {device_name(model.device)}"
    forward = options.batch * len(timing.baseline) / sum(timing.baseline)
    report(f"{about}: capture over the bare forward pass", timing.ratio, most=1.02, detail=f"pairs {timing.spread}")
    rates = {"read": read_rate(folder, options), "decode": decode_rate(model, folder, options)}
    rates |= {"copy": copy_rate(model, decomposer, options), "forward": forward}
    whole, rates["write"] = ingest_rates(arch, folder, checkpoint, options)
    slowest = min(rates, key=rates.__getitem__)
    said = ", ".join(f"{step} {rate:,.0f}" for step, rate in rates.items())
    report(
        f"{about}: ingest of {options.images:,} JPEGs, rate over the bare forward pass's",
        whole / forward,
        least=0.9,
        detail=f"{whole:,.0f} images/s, {whole / rates[slowest]:.2f} of the slowest step, {slowest}; alone: {said}",
    )


def noise(model: Model, batch: int) -> Any:
    pixels = pixel_memory((batch, *model.preprocess.shape), model.device)
    pixels[:] = torch.randint(0, 256, pixels.shape, dtype=torch.uint8).numpy()
    return pixels


def rate(images: int, call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return images / (time.perf_counter() - start)


def read_rate(folder: Path, options: argparse.Namespace) -> float:
    """Read and hash all images."""

    def read() -> None:
        def hashed(item: Any) -> str:
            content = read_item(item)
            assert isinstance(content, bytes), content
            return sha256(content).hexdigest()

        with ThreadPoolExecutor(READERS) as readers:
            assert sum(1 for _ in readers.map(hashed, open_sources([str(folder / "shards")]))) == options.images

    return rate(options.images, read)


def decode_rate(model: Model, folder: Path, options: argparse.Namespace) -> float:
    """Decode photographs where an ingest does."""
    files = [file.read_bytes() for file in sorted((folder / "photos").iterdir())]
    batches = [files[at : at + options.batch] for at in range(0, len(files), options.batch)]
    how = ImageOptions(workers=options.workers, gpu_decode=options.gpu_decode)
    with how.decoders(model.preprocess, model.device) as pool:
        pool.submit(files[: options.workers * 16]).result()  # starts the processes

        def decode() -> None:
            for waiting in [pool.submit(batch) for batch in batches]:
                assert all(not isinstance(one, str) for one in waiting.result().decoded)

        return rate(len(files), decode)


def copy_rate(model: Model, decomposer: Decomposer, options: argparse.Namespace) -> float:
    """Copy pixels to the device, and what an ingest keeps of them back."""
    pixels = torch.from_numpy(noise(model, options.batch))
    embedding, norm, heads = decomposer(model.pixels_to_input(pixels))
    times = 20

    def copy() -> None:
        for _ in range(times):
            pixels.to(model.device, non_blocking=True)
            for part in (embedding, norm, *heads.values()):
                to_host(part)
        finish_line(model.device)()

    copy()
    return rate(times * options.batch, copy)


def ingest_rates(arch: str, folder: Path, checkpoint: Path, options: argparse.Namespace) -> tuple[float, float]:
    """Ingest the shards into a new index; return the rates of all of it and of its commits."""
    index, loaded = folder / "gpu.clipdb", 0.0

    def mark(total: int | None) -> None:
        nonlocal loaded
        loaded = time.perf_counter()

    how = ImageOptions(
        checkpoint=checkpoint,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch,
        workers=options.workers,
        gpu_decode=options.gpu_decode,
    )
    with commits() as seconds:
        sources = [str(folder / "shards")]
        counts = image_ingest.ingest_images(index, sources, f"{arch}/random", how, Progress(total=mark))
        whole = time.perf_counter() - loaded
    assert counts.added == options.images, counts
    shutil.rmtree(index)
    return options.images / whole, options.images / sum(seconds)


@contextmanager
def commits() -> Iterator[list[float]]:
    """Have the sessions of ingests time their commits."""
    seconds: list[float] = []

    class Timed(Session):
        def commit(self, *given: Any) -> None:
            start = time.perf_counter()
            super().commit(*given)
            seconds.append(time.perf_counter() - start)

    image_ingest.Session = Timed  # type: ignore[misc]
    try:
        yield seconds
    finally:
        image_ingest.Session = Session  # type: ignore[misc]


if __name__ == "__main__":
    main()
