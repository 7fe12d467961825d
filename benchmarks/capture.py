"""Capture of the heads of the last four layers against ``model.encode_image`` on the same batch: time and peak memory.

    python benchmarks/capture.py
    python benchmarks/capture.py --device cuda --precision bf16 --batch 256 --models ViT-B-32 ViT-L-14

Weights are random: they cost what trained ones cost.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch
from measure import alternate, report

from clipdb.models.decomposition import Decomposer, reconstruction_error
from clipdb.models.loading import DTYPES
from clipdb.models.towers import adapt

KEPT_LAYERS = 4
PROOF_IMAGES = 8
Forward = Callable[[], object]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(cpu_memory(options.models[0], options))
        return
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"{device}, {options.precision}, batch {options.batch}, torch {torch.__version__}", file=sys.stderr)
    for name in options.models:
        compare(name, options)


def compare(name: str, options: argparse.Namespace) -> None:
    network, images = prepared(name, options)
    forward, capture = forwards(network, images)

    def on_device(call: Forward) -> Forward:
        def timed() -> None:
            call()
            if images.is_cuda:
                torch.cuda.synchronize()

        return timed

    for _ in range(options.warm_up):
        forward(), capture()
    timing = alternate(on_device(forward), on_device(capture), options.repeats)
    rates = [options.batch * len(s) / sum(s) for s in (timing.candidate, timing.baseline)]
    report(
        f"capture, {name} {options.precision}: time over encode_image",
        timing.ratio,
        most=1.02 if images.is_cuda else 1.0,
        detail=f"pairs {timing.spread}; {rates[0]:,.0f} against {rates[1]:,.0f} images/s",
    )
    with torch.inference_mode():
        few = images[:PROOF_IMAGES]
        error = reconstruction_error(adapt(network, name), few, network.encode_image(few))
    bound = 1e-4 if options.precision == "fp32" else 2e-2
    report(f"capture, {name} {options.precision}: reconstruction error", error, most=bound, detail="relative L2")
    if images.is_cuda:
        base, peak = gpu_memory(forward), gpu_memory(capture)
    else:
        del network, images, forward, capture
        base, peak = (cpu_memory_of(which, name, options) for which in ("encode_image", "capture"))
    report(
        f"capture, {name} {options.precision}: peak memory over encode_image",
        peak[1] / base[1],
        most=1.1,
        detail=f"{peak[1]:,.0f} against {base[1]:,.0f} MiB, of which activations {peak[0]:,.0f} against {base[0]:,.0f}",
    )


def prepared(name: str, options: argparse.Namespace) -> tuple[Any, torch.Tensor]:
    """Make the network and a batch of noise."""
    logging.disable(logging.WARNING)  # open_clip would warn that the weights are random
    torch.manual_seed(0)
    network = open_clip.create_model(name, precision=options.precision, device=options.device)
    network.eval().requires_grad_(False)
    size = network.visual.image_size[0]
    images = torch.randn(options.batch, 3, size, size, device=options.device)
    return network, images.to(DTYPES[options.precision])


def forwards(network: Any, images: torch.Tensor) -> tuple[Forward, Forward]:
    """Give the baseline and the candidate."""
    adapter = adapt(network, "random")
    decomposer = Decomposer(adapter, range(adapter.layers - KEPT_LAYERS, adapter.layers))

    @torch.inference_mode()
    def forward() -> object:
        return network.encode_image(images)

    return forward, lambda: decomposer(images)


def gpu_memory(call: Forward) -> tuple[float, float]:
    """Run once and return MiB of activations at their peak, and of everything."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    return (peak - before) / 2**20, peak / 2**20


def cpu_memory_of(which: str, name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Measure `cpu_memory` in a process of its own: an allocator keeps what an earlier call took."""
    command = [sys.executable, __file__, "--memory-of", which, "--models", name, "--precision", options.precision]
    command += ["--batch", str(options.batch), "--threads", str(options.threads)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    growth, total = answer.split()
    return float(growth), float(total)


def cpu_memory(name: str, options: argparse.Namespace) -> str:
    """Run the baseline or the candidate once and return MiB by which the process grew, and its peak (Linux)."""
    network, images = prepared(name, options)
    forward, capture = forwards(network, images)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the weights
    before = resident("VmRSS")
    (forward if options.memory_of == "encode_image" else capture)()
    return f"{resident('VmHWM') - before} {resident('VmHWM')}"


def resident(field: str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) / 1024


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-B-16"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=list(DTYPES), default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", choices=["encode_image", "capture"], help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
