"""Directions of all heads of a model from its weights alone, against the singular values of its value matrices.

    python benchmarks/directions.py

Weights are random: they cost what trained ones cost. `clipdb span --from weights` reads the matrices of every head,
folds the LayerNorm into them, carries them to the joint space, decomposes them, and writes each direction as a sum of a
pool's texts; the texts' embeddings are made before. The baseline is numpy's SVD of each head's k x d value matrix.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from statistics import median

import numpy as np
import open_clip
import torch
from measure import alternate, report

from clipdb._util.sparse_code import centred, sparse_code
from clipdb.models.singular_directions import singular_directions
from clipdb.models.towers import adapt

WORDS = 5  # texts at each end of a direction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-L-14")
    parser.add_argument("--texts", type=int, default=3_500)
    parser.add_argument("--count", type=int, default=5, help="Directions of each head.")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # open_clip would warn that the weights are random
    torch.manual_seed(0)
    network = open_clip.create_model(options.model).eval().requires_grad_(False)
    tower = adapt(network, options.model)
    blocks = network.visual.transformer.resblocks
    values = [block.attn.in_proj_weight.chunk(3)[2].unflatten(0, (tower.heads, -1)).numpy() for block in blocks]
    random = np.random.default_rng(0)
    texts = centred(random.standard_normal((options.texts, network.visual.output_dim)))

    def decompose() -> None:
        for value in values:
            np.linalg.svd(value, full_matrices=False)

    def describe() -> None:
        for _, vectors, _ in singular_directions(tower, range(tower.layers), options.count):
            sparse_code(np.concatenate([vectors, -vectors]), texts, WORDS)

    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    timing = alternate(decompose, describe, options.repeats)
    report(
        f"directions of {tower.layers * tower.heads} heads of {options.model} from weights: seconds",
        median(timing.candidate),
        most=60,
        detail=f"{timing.ratio:.2f} times the SVDs alone, pairs {timing.spread}; {median(timing.baseline):.2f} s",
    )


if __name__ == "__main__":
    main()
