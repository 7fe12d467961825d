"""How well the spans of heads find images of each value, against sorting the same scores.

    python benchmarks/evidence.py

The index is synthetic, 51,200 images x 48 heads x 64, each image of one of 100 classes, with 20 spans for each head.
The baseline makes the scores of all spans and sorts them, with numpy on vectors that lie in memory; `span-evidence`
measures average precision of each class in each of these rankings, too, and what 199 rankings at random would reach.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from made_vectors import POOL, build
from measure import alternate, report

import clipdb
from queries import HEADS, LAYERS, SIZE

SPANS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    heads = len(LAYERS) * HEADS
    random = np.random.default_rng(1)
    vectors = random.standard_normal((heads, options.images, SIZE), np.float32)
    directions = random.standard_normal((heads, SIZE, SPANS), np.float32)

    def sort() -> None:
        for some, along in zip(vectors, directions, strict=True):
            np.argsort(-(some @ along), axis=0)

    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "evidence.clipdb"
        build(index, options.images)
        clipdb.span(index, pool=POOL, count=SPANS, progress=False)
        print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        with clipdb.open(index) as db:
            timing = alternate(sort, lambda: db.rows("span_evidence", spans=SPANS), options.repeats)
            rows = len(db.rows("span_evidence", spans=SPANS))
    assert rows == heads * SPANS, rows
    report(
        f"span-evidence, {heads} heads x {SPANS} spans, {options.images:,} images: seconds",
        median(timing.candidate),
        most=10,
        detail=f"{timing.ratio:.2f} times scores and sorting, pairs {timing.spread}; {median(timing.baseline):.2f} s",
    )


if __name__ == "__main__":
    main()
