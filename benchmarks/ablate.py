"""Ablate sets of heads, against the one matrix product that it needs.

    python benchmarks/ablate.py

The index is synthetic, 51,200 images x 48 heads x 64, with 1,000 classes. For n images, D numbers of an embedding, m
heads of k and C classes the product is [n, D + m k] x [D + m k, C] in float32, of vectors that lie in memory side by
side. The ablation gathers the vectors, makes the scores before and after, classifies, and counts by class. Warm.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from measure import alternate, report
from tasks import TEMPLATE, add_classes

import clipdb
from clipdb.schema.names import head_name
from queries import EMBED, HEADS, LAYERS, SIZE, build

ROWS = 4096  # of a chunk: the baseline, too, keeps no more scores than that
NAMES = [head_name(layer, head) for layer in LAYERS for head in range(HEADS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--heads", type=int, nargs="+", default=[1, 12, 48])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "ablate.clipdb"
        build(index, options.images)
        add_classes(index, options.classes)
        with clipdb.open(index) as db:
            for count in options.heads:
                compare(db, count, options)


def compare(db: clipdb.Index, count: int, options: argparse.Namespace) -> None:
    random = np.random.default_rng(2)
    width = EMBED + count * SIZE
    images = random.standard_normal((options.images, width), np.float32)
    classes = random.standard_normal((width, options.classes), np.float32)

    def product() -> None:
        for start in range(0, len(images), ROWS):
            images[start : start + ROWS] @ classes

    def ablate() -> None:
        db.query.ablate(heads=",".join(NAMES[:count]), template=TEMPLATE, control=0).fetchall()

    timing = alternate(product, ablate, options.repeats)
    report(
        f"ablate {count} of 48 heads, {options.images:,} images x {options.classes:,} classes: time over the product",
        timing.ratio,
        most=2,
        detail=f"pairs {timing.spread}; {median(timing.candidate):.2f} against {median(timing.baseline):.2f} s",
    )


if __name__ == "__main__":
    main()
