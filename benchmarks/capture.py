"""Capture of the heads of the last four layers against ``model.encode_image`` on the same batch: time and peak memory.

    python benchmarks/capture.py
    python benchmarks/capture.py --family all
    python benchmarks/capture.py --device cuda --precision bf16 --batch 256 --models ViT-B-32 ViT-L-14

Weights are random: they cost what trained ones cost. Of towers that pool by attention the pooling's heads are kept, as
by default, and then those of the last four layers, too.
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

import torch
from measure import alternate, report

from clipdb.models.decomposition import Decomposer
from clipdb.models.model import DTYPES
from clipdb.models.proof import reconstruction_errors
from clipdb.models.tower import POOL
from clipdb.models.towers import adapt

sys.path.append(str(Path(__file__).parent.parent / "tools"))
from random_towers import Network, image_tower

KEPT_LAYERS = 4
PROOF_IMAGES = 8
FAMILIES = {
    "class token": "ViT-B-16",
    "CLIPA": "ViT-L-14-CLIPA",
    "CoCa": "coca_ViT-B-32",
    "SigLIP": "ViT-B-16-SigLIP",
    "PE-Core": "PE-Core-B-16",
    "EVA02": "EVA02-B-16",
    "ViTamin": "ViTamin-S",
    "MobileCLIP": "MobileCLIP-B",
    "ResNet": "RN50",
}
"""A model of each family."""
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
        tower = adapt(prepared(name, options)[0], name)
        for trunk in [True] if not tower.pool_heads else [False, True] if tower.layers else [False]:
            compare(name, trunk, options)


def compare(name: str, trunk: bool, options: argparse.Namespace) -> None:
    network, images = prepared(name, options)
    forward, decomposer = forwards(network, images, trunk)
    own = name.startswith(("ViT-B-32", "ViT-B-16")) and "SigLIP" not in name
    which = f"capture, {name} {options.precision}, " + ("last layers" if trunk else "pooling")

    def capture() -> object:
        return decomposer(images)

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
        f"{which}: time over encode_image",
        timing.ratio,
        most=1.02 if images.is_cuda else 1.0 if own else 1.03,
        detail=f"pairs {timing.spread}; {rates[0]:,.0f} against {rates[1]:,.0f} images/s",
    )
    with torch.inference_mode():
        few = images[:PROOF_IMAGES]
        error = max(reconstruction_errors(decomposer, few, network.encode_image(few)).values())
    bound = 1e-4 if options.precision == "fp32" else 2e-2
    report(f"{which}: reconstruction error", error, most=bound, detail="relative L2")
    if images.is_cuda:
        base, peak = gpu_memory(forward), gpu_memory(capture)
    else:
        del network, images, forward, capture, decomposer
        measured = "encode_image", "capture last layers" if trunk else "capture pooling"
        base, peak = (cpu_memory_of(one, name, options) for one in measured)
    report(
        f"{which}: peak memory over encode_image",
        peak[1] / base[1],
        most=1.1,
        detail=f"{peak[1]:,.0f} against {base[1]:,.0f} MiB, of which activations {peak[0]:,.0f} against {base[0]:,.0f}",
    )


def prepared(name: str, options: argparse.Namespace) -> tuple[Any, torch.Tensor]:
    """Make the network and a batch of noise."""
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    dtype = DTYPES[options.precision]
    visual = image_tower(name).eval().requires_grad_(False).to(options.device, dtype)
    side = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
    return Network(visual), torch.randn(options.batch, 3, side, side, device=options.device).to(dtype)


def forwards(network: Any, images: torch.Tensor, trunk: bool) -> tuple[Forward, Decomposer]:
    """Give the baseline and the candidate."""
    adapter = adapt(network, "random")
    pool = [POOL] if adapter.pool_heads else []
    last = range(max(adapter.layers - KEPT_LAYERS, 0), adapter.layers) if trunk else []
    decomposer = Decomposer(adapter, [*pool, *last])

    @torch.inference_mode()
    def forward() -> object:
        return network.encode_image(images)

    return forward, decomposer


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
    forward, decomposer = forwards(network, images, options.memory_of == "capture last layers")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the weights
    before = resident("VmRSS")
    decomposer(images) if options.memory_of.startswith("capture") else forward()
    return f"{resident('VmHWM') - before} {resident('VmHWM')}"


def resident(field: str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) / 1024


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-B-16"])
    parser.add_argument("--family", choices=["all", *FAMILIES], help="A model of this family, or of each.")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=list(DTYPES), default="fp32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.family:
        options.models = list(FAMILIES.values()) if options.family == "all" else [FAMILIES[options.family]]
    return options


if __name__ == "__main__":
    main()
