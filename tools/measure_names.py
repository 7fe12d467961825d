"""Count how many names of heads agree with minimal pairs that the labellers haven't seen.

    python tools/measure_names.py                                  # the packaged model and its fine-tune
    python tools/train_demo_model.py --out build/plain-101 --seed 101 --clarity 0 --steps 600 --scenes 12000
    python tools/measure_names.py build/plain-101/scenes.safetensors

Scenes come from the seed 551234 and pairs from 551235, which no training used. Names by zero-shot and by metadata
(`clipdb label --labeller evidence` before there are pairs) are compared with the property that moves the head most in
the pairs (`clipdb query specificity`). Intervals are Wilson's, 95 %; heads of one model are not independent.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import clipdb
from clipdb.api.demo_names import store_truth
from clipdb.demo import MODEL_CONFIG, PACKAGED, PAIRS, write_pairs, write_scenes

SCENES_SEED, PAIRS_SEED = 551234, 551235
MODEL = "clipdb-tiny/measured"
_NAMES = "select name, labeller, property from head_labels"


def main() -> None:
    """Print a row of docs/labels.md for each model and labeller."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", type=Path, help="Weights of the demo model's architecture.")
    parser.add_argument("--scenes", type=int, default=400, help="Scenes that the index is made of.")
    parser.add_argument("--pairs", type=int, default=40, help="Minimal pairs for each property.")
    arguments = parser.parse_args()
    print("| model | names by | heads | named | agree with pairs | share of named, 95 % |\n" + "|---" * 6 + "|")
    for weights in arguments.weights or PACKAGED.values():
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(Path(folder), weights, arguments.scenes, arguments.pairs):
                about = weights.parent.name if weights.stem == "scenes" and arguments.weights else weights.stem
                print(f"| {about} | {' | '.join(row)} |", flush=True)


def measure(folder: Path, weights: Path, scenes: int, pairs: int) -> list[list[str]]:
    """Name the heads of a model over scenes, then bring in pairs and compare."""
    index = folder / "index.clipdb"
    drawn = write_scenes(folder / "scenes", scenes, SCENES_SEED)
    clipdb.ingest_images(index, folder / "scenes", model=MODEL, checkpoint=weights, config=MODEL_CONFIG, progress=False)
    store_truth(index, drawn)
    clipdb.span(index, pool="scenes", checkpoint=weights, progress=False)
    for labeller in ("zero-shot", "vote", "evidence"):
        clipdb.label(index, labeller=labeller)
    write_pairs(folder / "pairs", pairs, PAIRS_SEED)
    clipdb.ingest_images(index, folder / "pairs", model=MODEL, checkpoint=weights, progress=False)
    clipdb.ingest_pairs(index, folder / "pairs" / PAIRS)
    with clipdb.open(index) as db:
        names = db.sql(_NAMES).fetchall()
        truth = {row["head"]: row["attribute"] for row in db.rows("specificity") if row["rank"] == 1}
    rows = []
    for labeller, said in (("evidence", "metadata"), ("zero-shot", "zero-shot"), ("vote", "vote")):
        given = {head: name for head, by, name in names if by == labeller}
        right = sum(truth[head] == name for head, name in given.items())
        low, high = wilson(right, len(given))
        share = f"{right / max(len(given), 1):.2f} [{low:.2f}, {high:.2f}]"
        rows.append([said, str(len(truth)), str(len(given)), str(right), share])
    return rows


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    z, share = 1.959964, right / count
    middle, width = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return (middle - width) / (1 + z * z / count), (middle + width) / (1 + z * z / count)


if __name__ == "__main__":
    main()
