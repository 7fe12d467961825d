"""CIFAR-10, CIFAR-100 and Country-211 (arXiv 2503.11103): accuracy without heads of high, low and any CCS.

The index needs spans, names and verdicts first (`clipdb span`, `clipdb label`, `clipdb judge`), since these make
the CCS. The model runs again without the heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared import arguments, compare, run

import clipdb
from clipdb.api.ablating import COLUMNS

DATA = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "country211": "Country211"}


def folder_of_classes(data: Path, name: str) -> Path:
    """Return a folder with a folder of pictures for each class, made of torchvision's test set where it isn't there."""
    if not data.is_dir():
        from torchvision import datasets

        test: dict[str, Any] = {"split": "test"} if name == "country211" else {"train": False}
        found = getattr(datasets, DATA[name])(f"{data}-download", download=True, **test)
        for place, (picture, label) in enumerate(found):
            folder = data / found.classes[label].replace("_", " ")
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{place:06d}.png")
    return data


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and compare with the table."""
    parser = arguments(__doc__)
    parser.add_argument("name", choices=sorted(DATA))
    parser.add_argument("--judge", help="Whose verdicts make the CCS, where there are several judges.")
    parser.add_argument("--control", type=int, default=5, help="How many random sets.")
    asked = parser.parse_args(given)
    data = folder_of_classes(asked.data or Path(asked.name), asked.name)
    clipdb.ingest_images(
        asked.index, data, model=asked.model, layers=asked.layers, device=asked.device, label_from="parent"
    )
    figures = []
    with clipdb.open(asked.index, device=asked.device) as db:
        for ccs in ("high", "low"):
            found = clipdb.ablate(
                db, ccs=ccs, judge=asked.judge, templates=asked.templates, control=asked.control, model=asked.model
            )
            row = dict(zip(COLUMNS, found.rows[0], strict=True))
            if not figures:
                figures.append(("all heads", row["before"]))
            figures += [(f"without {ccs} CCS", row["causal"]), (f"as many random as {ccs}", row["control_causal"])]
    compare(figures, asked.printed)


if __name__ == "__main__":
    run(main)
