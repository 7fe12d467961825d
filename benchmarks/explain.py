"""Explain the score of an image and a text that an index knows, against reading the image's one row with pylance.

    python benchmarks/explain.py

The index is synthetic, 51,200 images x 48 heads x 64. Warm, through the Python API; images and texts change from call
to call.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from statistics import median

import lance
from measure import alternate, report
from tasks import add_classes

import clipdb
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_path
from queries import LAYERS, MODEL, build

HEADS = 12
CLASSES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=101)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "explain.clipdb"
        build(index, options.images)
        texts = add_classes(index, CLASSES)
        compare(index, texts, options.repeats)


def compare(index: Path, texts: list[str], repeats: int) -> None:
    table = lance.dataset(str(images_path(index, MODEL)))
    columns = ["embedding", *(head_column(layer, head) for layer in LAYERS for head in range(HEADS))]
    rows = itertools.count(1, 37)
    with clipdb.open(index) as db:
        ids = [row[0] for row in db.sql("select image_id from images using sample 1000 (reservoir, 0)").fetchall()]
        pairs = zip(itertools.cycle(ids), itertools.cycle(texts), strict=False)

        def explain() -> object:
            return db.query.contributions(*next(pairs)).fetchall()

        def macro() -> object:
            image, text = next(pairs)
            return db.sql("select * from contributions(null, $image, $text)", image=image, text=text).fetchall()

        def function() -> object:
            image, text = next(pairs)
            return db.rows("contributions", image=image, text=text)

        def take() -> object:
            return table.take([next(rows) % len(ids)], columns=columns)

        for what, call in (("named query", explain), ("SQL macro", macro), ("without SQL", function)):
            timing = alternate(take, call, repeats)
            milliseconds = 1000 * median(timing.candidate)
            report(
                f"explain, {table.count_rows():,} images x 48 heads, {what}: ms",
                milliseconds,
                most=20,
                detail=f"{timing.ratio:.2f} times one row's take, {1000 * median(timing.baseline):.1f} ms",
            )


if __name__ == "__main__":
    main()
