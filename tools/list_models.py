"""Write clipdb/models/catalogue.csv: the models of open_clip whose heads clipdb can read.

Run `python tools/list_models.py` after an upgrade of open_clip; `--check` fails when the file is stale.
"""

from __future__ import annotations

import csv
import io
import logging
import sys
from pathlib import Path

import open_clip
import torch

from clipdb import demo
from clipdb.models.tower import Adapter
from clipdb.models.towers import families

CATALOGUE = Path(__file__).parent.parent / "clipdb" / "models" / "catalogue.csv"
COLUMNS = ("arch", "pretrained", "layers", "heads", "width", "embed_dim", "patch_size", "image_size")


def adapter_of(arch: str) -> Adapter | None:
    """Build an architecture without weights or memory, and find the family that fits its image tower."""
    config = open_clip.get_model_config(arch) or {}
    if "timm_model_name" in config["vision_cfg"] or "hf_model_name" in config["text_cfg"]:
        return None  # building these asks the hub
    with torch.device("meta"):
        visual = open_clip.create_model(arch, load_weights=False, pretrained_text=False, device="meta").visual
    return next((family(visual) for family in families() if family.misfit(visual) is None), None)


def catalogue() -> str:
    """Return the catalogue as CSV."""
    open_clip.add_model_config(demo.MODEL_CONFIG)
    pairs = [*(tuple(name.split("/")) for name in demo.PACKAGED), *open_clip.list_pretrained()]
    adapters = {arch: adapter_of(arch) for arch in dict.fromkeys(arch for arch, _ in pairs)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for arch, tag in pairs:
        if tower := adapters[arch]:
            writer.writerow([arch, tag, *(getattr(tower, column) for column in COLUMNS[2:])])
    return text.getvalue()


def main() -> None:
    """Write the file, or with --check compare it."""
    logging.disable(logging.WARNING)
    text = catalogue()
    if "--check" not in sys.argv:
        CATALOGUE.write_text(text)
    elif CATALOGUE.read_text() != text:
        sys.exit(f"{CATALOGUE} is stale: run python {sys.argv[0]}")


if __name__ == "__main__":
    main()
