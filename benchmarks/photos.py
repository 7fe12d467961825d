"""Distinct JPEG photographs to ingest, made from a folder of real ones, or of noise where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "photos"
SIZE = (500, 375)  # what most photographs of ImageNet measure


def write_photos(folder: Path, count: int) -> str:
    """Write ``count`` JPEGs, no two alike, and say what they are."""
    folder.mkdir(parents=True)
    originals = sorted(PHOTOS.glob("*.JPEG"))
    random = np.random.default_rng(0)
    for number in range(count):
        if originals:
            image = Image.open(originals[number % len(originals)]).convert("RGB")
            left, top = random.integers(0, 8, 2)
            image = image.crop((int(left), int(top), image.width, image.height))
        else:  # coarse noise, so that files are about as large as those of photographs
            image = Image.fromarray(random.integers(0, 256, (47, 63, 3), dtype=np.uint8)).resize(SIZE)
        # The number is in the file, so that even equal crops are different images to an index.
        image.save(folder / f"{number:05}.jpg", quality=90, comment=str(number).encode())
    return "photographs, cropped and saved again" if originals else "generated noise"
