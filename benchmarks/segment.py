"""Segmentation of one image over all heads of the last four layers against ``model.encode_image`` on the same image.

    python benchmarks/segment.py
    python benchmarks/segment.py --device cuda --models ViT-B-32 ViT-B-16 ViT-L-14

Weights are random: they cost what trained ones cost. Decoding the file is left out of both.
"""

from __future__ import annotations

import argparse
import logging
import sys

import numpy as np
import open_clip
import torch
from measure import alternate, report

from clipdb.models.decomposition import Decomposer
from clipdb.models.segmentation import token_shares
from clipdb.models.towers import adapt

KEPT_LAYERS = 4
MOST = 1.3


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"{device}, fp32, torch {torch.__version__}", file=sys.stderr)
    for name in options.models:
        compare(name, options)


def compare(name: str, options: argparse.Namespace) -> None:
    logging.disable(logging.WARNING)  # open_clip would warn that the weights are random
    torch.manual_seed(0)
    network = open_clip.create_model(name, device=options.device).eval().requires_grad_(False)
    tower = adapt(network, name)
    image = torch.randn(1, 3, tower.image_size, tower.image_size, device=options.device)
    text = np.random.default_rng(0).normal(size=tower.embed_dim)
    decomposer = Decomposer(tower, range(tower.layers - KEPT_LAYERS, tower.layers))
    heads = list(decomposer.bases)

    @torch.inference_mode()
    def forward() -> object:
        return network.encode_image(image).cpu()

    def segment() -> object:
        return token_shares(decomposer, image, text / np.linalg.norm(text), heads)

    timing = alternate(forward, segment, options.repeats)
    milliseconds = [1000 * float(np.median(one)) for one in (timing.candidate, timing.baseline)]
    report(
        f"segment, {name}, {len(heads)} heads: time over encode_image of the same image",
        timing.ratio,
        most=MOST,
        detail=f"pairs {timing.spread}; {milliseconds[0]:.1f} against {milliseconds[1]:.1f} ms",
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-B-16"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
