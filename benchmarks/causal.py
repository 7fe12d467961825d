"""Causal ablation of all heads of the last four layers, one by one, against one forward pass of the same images.

    python benchmarks/causal.py
    python benchmarks/causal.py --device cuda --batch 64

Weights are random: they cost what trained ones cost. Both modes' work is counted: the pass for the means, the pass with
all heads, and the model run on from each head's layer. Decoding files is left out of both.
"""

from __future__ import annotations

import argparse
import logging
import sys

import open_clip
import torch
from measure import alternate, report

from clipdb.models.ablation import Edit, begin
from clipdb.models.towers import adapt

KEPT_LAYERS = 4
MOST = 9.0


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"{device}, fp32, torch {torch.__version__}", file=sys.stderr)
    compare(options)


def compare(options: argparse.Namespace) -> None:
    logging.disable(logging.WARNING)  # open_clip would warn that the weights are random
    torch.manual_seed(0)
    network = open_clip.create_model(options.model, device=options.device).eval().requires_grad_(False)
    tower = adapt(network, options.model)
    images = torch.randn(options.batch, 3, tower.image_size, tower.image_size, device=options.device)
    layers = range(tower.layers - KEPT_LAYERS, tower.layers)

    @torch.inference_mode()
    def forward() -> object:
        return network.encode_image(images).cpu()

    def ablate() -> object:
        means = {layer: z.mean(dim=0) for layer, z in begin(tower, images, layers).outputs.items()}
        run = begin(tower, images, layers)
        for layer in layers:
            for head in range(tower.heads):
                last = run.without({layer: Edit([head], means[layer][:, [head]])})
        return last.cpu()

    timing = alternate(forward, ablate, options.repeats)
    report(
        f"causal ablation, {options.model}, {KEPT_LAYERS * tower.heads} heads one by one: time over encode_image",
        timing.ratio,
        most=MOST,
        detail=f"pairs {timing.spread}, {options.batch} images",
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


if __name__ == "__main__":
    main()
