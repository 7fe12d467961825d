"""Write clipdb/models/catalogue.csv: what clipdb reads of each architecture of open_clip, with all its weights.

Each class of transformers that it reads has a line, too, without sizes: those are the repository's.

Run `python tools/list_models.py` after an upgrade of open_clip; `--check` fails when the file is stale. `--prove`
measures the errors anew, of all architectures or of those named: their parts added up, on random weights, against the
tower's own output (two images of noise, float32, at most 2 layers). It takes a quarter of an hour.
"""

from __future__ import annotations

import csv
import io
import logging
import sys
from pathlib import Path
from typing import Any

import open_clip
import torch
from random_towers import Network, architectures, image_tower, noise, transformers_tower, unsettle
from torch.overrides import TorchFunctionMode

from clipdb import demo
from clipdb.errors import ClipdbError
from clipdb.models.decomposition import Decomposer
from clipdb.models.hugging_face.kinds import KINDS
from clipdb.models.proof import reconstruction_errors
from clipdb.models.tower import Adapter, partitions
from clipdb.models.towers import adapt

CATALOGUE = Path(__file__).parent.parent / "clipdb" / "models" / "catalogue.csv"
SIZES = ("layers", "heads", "width", "embed_dim", "patch_size", "image_size")
COLUMNS = ("arch", "pretrained", *SIZES, "pool_heads", "family", "kb", "kb_last4", "error", "pool_error", "why_not")
DEPTH = 2
IMAGES = 2
LAST = 4
OF_TRANSFORMERS = {f"hf:ORG/NAME ({kind.model_class})": name for name, kind in KINDS.items()}


class _Unset(TorchFunctionMode):
    """Weights without numbers get none: to draw them takes three quarters of the time, though nothing is there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if getattr(func, "__name__", "") in _DRAWN:  # a tensor's own, or of torch.nn.init, which names its argument
            return args[0] if args else named["tensor"]
        return func(*args, **named)


_DRAWN = {"uniform_", "normal_", "erfinv_", "mul_", "add_", "clamp_", "zero_", "fill_"}


def row_of(arch: str, errors: dict[str, str]) -> dict[str, Any]:
    """Describe an architecture."""
    with torch.device("meta"), _Unset():
        visual = image_tower(arch)
    try:
        tower = adapt(Network(visual), arch)
    except ClipdbError as error:
        return {"why_not": str(error).removeprefix(f"{arch} can't be decomposed: ").partition(": see")[0]}
    sizes = {name: getattr(tower, name) for name in (*SIZES, "pool_heads")}
    whole, last = room(tower)
    return sizes | {"family": tower.name, "kb": whole, "kb_last4": last} | errors


def room(tower: Adapter) -> list[str]:
    """Return the kB that an image takes, with the heads that are kept by default and with those of the last layers."""
    size = tower.head_dim
    if tower.pool_heads:  # a pooling's heads mix what a head of the trunk writes, each in its own way
        size = min(size * tower.pool_heads, tower.embed_dim, tower.width)
    trunk = min(tower.layers, LAST) * tower.heads * size
    pool = tower.pool_heads * tower.pool_head_dim
    return [f"{2 * (tower.embed_dim + numbers) / 1000:.1f}" for numbers in (pool or trunk, pool + trunk)]


def prove(arch: str, depth: int | None = DEPTH) -> dict[str, str]:
    """Measure how far an architecture's parts, added up, are from its own output; None is its full depth."""
    torch.manual_seed(0)
    kind = OF_TRANSFORMERS.get(arch)
    visual = unsettle(image_tower(arch, depth) if kind is None else transformers_tower(kind, depth or DEPTH))
    tower = adapt(Network(visual), arch)
    images = noise(tower, IMAGES)
    kept = [layers[-1] for layers in partitions(tower).values()]
    errors = reconstruction_errors(Decomposer(tower, kept), images, Network(visual).encode_image(images))
    print(arch, errors, flush=True)
    return {"error" if name == "trunk" else "pool_error": f"{error:.1e}" for name, error in errors.items()}


def known() -> dict[str, dict[str, str]]:
    """Read the errors that were measured, by architecture."""
    with CATALOGUE.open() as file:
        return {
            row["arch"]: {name: row.get(name, "") for name in ("error", "pool_error")} for row in csv.DictReader(file)
        }


def catalogue(errors: dict[str, dict[str, str]]) -> str:
    """Return the catalogue as CSV."""
    tags: dict[str, list[str]] = {arch: [] for arch in architectures()}
    for arch, tag in [*(name.split("/") for name in demo.PACKAGED), *open_clip.list_pretrained()]:
        tags[arch].append(tag)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for arch, names in tags.items():
        row = row_of(arch, errors.get(arch, {}))
        writer.writerows({"arch": arch, "pretrained": name} | row for name in names or [""])
    for arch, kind in OF_TRANSFORMERS.items():
        family = "dinov2" if kind.startswith("dinov2") else "transformers"
        writer.writerow({"arch": arch, "family": family} | errors.get(arch, {}))
    return text.getvalue()


def main() -> None:
    """Write the file, or with --check compare it."""
    logging.disable(logging.WARNING)
    asked = sys.argv[1:]
    errors = known()
    if "--prove" in asked:
        for arch in [one for one in asked if one != "--prove"] or [*architectures(), *OF_TRANSFORMERS]:
            with torch.device("meta"):
                fits = arch in OF_TRANSFORMERS or "why_not" not in row_of(arch, {})
            if fits:
                errors[arch] = prove(arch)
    text = catalogue(errors)
    if "--check" not in asked:
        CATALOGUE.write_text(text)
    elif CATALOGUE.read_text() != text:
        sys.exit(f"{CATALOGUE} is stale: run python {sys.argv[0]}")


if __name__ == "__main__":
    main()
