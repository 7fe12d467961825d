"""`clipdb import spans` against DuckDB's own reader and a bare table.

    python benchmarks/published.py

A CSV file of 10,560 spans, 176 heads (44 layers of 4) with 60 of 2,000 descriptions each, goes into a new index, and
then in again. The baseline is ``read_csv`` into a table of the same columns without a key, in a new file. Each is a
command from a cold start.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import alternate, report

CLIPDB = Path(sys.executable).with_name("clipdb")
LAYERS, HEADS, SPANS, TEXTS = 44, 4, 60, 2000
BASELINE = (
    "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('create table spans as from read_csv(?)', [sys.argv[2]])"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write_spans(folder / "spans.csv")
        index, bare = folder / "index.clipdb", folder / "bare.duckdb"
        command = [str(CLIPDB), "import", "spans", str(file), "--source", "web", "--index", str(index)]

        def baseline() -> None:
            bare.unlink(missing_ok=True)
            run(folder, sys.executable, "-c", BASELINE, str(bare), str(file))

        def new() -> None:
            shutil.rmtree(index, ignore_errors=True)
            run(folder, *command)

        for what, candidate in (("into a new index", new), ("again", lambda: run(folder, *command))):
            timing = alternate(baseline, candidate, options.repeats)
            of = f"`clipdb import spans`, 10,560 spans {what}"
            detail = f"pairs {timing.spread}; {median(timing.candidate):.2f} against {median(timing.baseline):.2f} s"
            report(f"{of}: time over `read_csv` into a bare table", timing.ratio, detail=detail)
            times = sorted(timing.candidate)
            report(f"{of}: seconds", median(times), most=2, detail=f"{times[0]:.2f} to {times[-1]:.2f} s")


def run(folder: Path, *command: str) -> None:
    # Compiled modules are kept, as they are where clipdb is installed, whatever this shell has set.
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "pycache")}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | kept)


def write_spans(path: Path) -> Path:
    chance = random.Random(0)
    texts = [f"a photo of {one} things, number {chance.random()}" for one in range(TEXTS)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "pretrained", "layer", "head", "rank", "text"])
        for layer in range(LAYERS):
            for head in range(HEADS):
                for rank, text in enumerate(chance.sample(texts, SPANS), start=1):
                    writer.writerow(["ViT-B-16", "none", layer, head, rank, text])
    return path


if __name__ == "__main__":
    main()
