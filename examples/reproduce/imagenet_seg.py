"""ImageNet-Segmentation (arXiv 2310.05916, section 5): pixel accuracy, mIoU and mAP of the maps of heads.

The data are published as one file for MATLAB, gtsegs_ijcv.mat (Guillaumin, Kuttel and Ferrari, IJCV 2014,
http://calvin-vision.net/bigstuff/proj-imagenet/data/gtsegs_ijcv.mat), which has no names of classes. Unpack it into
images/CLASS/NAME.png and masks/NAME.png; a mask has the size of its image and is black where the class isn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared import arguments, compare, run

import clipdb


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and compare with the table."""
    asked = arguments(__doc__).parse_args(given)
    data = asked.data or Path("imagenet-seg")
    if missing := [folder for folder in (data / "images", data / "masks") if not folder.is_dir()]:
        raise SystemExit(f"{missing[0]} is not a folder.\n{__doc__}")
    clipdb.ingest_images(
        asked.index, data / "images", model=asked.model, layers=asked.layers, device=asked.device, label_from="parent"
    )
    with clipdb.open(asked.index, device=asked.device) as db:
        found = clipdb.segmentation_scores(
            db, data / "masks", templates=asked.templates, against_mean=True, model=asked.model
        )
    compare(list(zip(("pixel accuracy", "mIoU", "mAP"), found.rows[0][3:], strict=True)), asked.printed)


if __name__ == "__main__":
    run(main)
