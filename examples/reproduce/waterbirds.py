"""Waterbirds (arXiv 2310.05916, section 4): accuracy of the worst group, without the heads that see where a bird is.

All that isn't a head of the last layers is replaced by its mean, and so are the heads chosen. Means are those over the
test images themselves, where the paper takes ImageNet's.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from shared import arguments, compare, fetch_tar, run

import clipdb

NAME = "waterbird_complete95_forest2water2"
URL = f"https://nlp.stanford.edu/data/dro/{NAME}.tar.gz"
TEST = "2"


def manifest(data: Path) -> Path:
    """List the test images, with the kind of bird as their label and the place beside it."""
    listed = data / "test-images.csv"
    with (data / "metadata.csv").open(newline="") as source, listed.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "place"])
        for row in csv.DictReader(source):
            if row["split"] == TEST:
                bird, place = ("landbird", "waterbird")[int(row["y"])], ("land", "water")[int(row["place"])]
                table.writerow([(data / row["img_filename"]).resolve(), bird, place])
    return listed


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and compare with the table."""
    parser = arguments(__doc__)
    parser.add_argument("--heads", help="The published list of heads, as L22.H1,L23.H8.")
    parser.add_argument("--property", help="In its place, heads of the index that carry this property: location.")
    asked = parser.parse_args(given)
    if asked.heads is None and asked.property is None:
        parser.error("give --heads or --property")
    data = fetch_tar(URL, asked.data or Path(NAME))
    clipdb.ingest_images(asked.index, manifest(data), model=asked.model, layers=asked.layers, device=asked.device)
    with clipdb.open(asked.index, device=asked.device) as db:
        rows = db.query.ablate(
            heads=asked.heads, property=asked.property, mode="mean", remainder="mean", groups="place", control=0,
            templates=asked.templates, model=asked.model,
        ).fetchall()  # fmt: skip
    whole, worst = rows[0], rows[-1]
    figures = {"overall": whole[3], "overall, ablated": whole[4], "worst group": worst[3], "worst, ablated": worst[4]}
    compare(list(figures.items()), asked.printed)


if __name__ == "__main__":
    run(main)
