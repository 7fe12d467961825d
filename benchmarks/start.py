"""A named query from a cold start against the imports that it can't do without.

    python benchmarks/start.py

`clipdb query heads` on an index of 48 heads with 20 spans each, against ``python -c "import duckdb, click"``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from measure import alternate, report

from clipdb.ingest.store.rows import put
from clipdb.schema import catalog, creation

CLIPDB = Path(sys.executable).with_name("clipdb")
LAYERS, HEADS, SPANS = range(8, 12), range(12), range(20)
MODEL = "ViT-B-32/none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index.clipdb"
        make_index(index)
        timing = alternate(
            lambda: run(folder, sys.executable, "-c", "import duckdb, click"),
            lambda: run(folder, str(CLIPDB), "query", "heads", "--index", str(index)),
            options.repeats,
        )
    report(
        "`clipdb query heads`, cold start: time over `import duckdb, click`",
        timing.ratio,
        most=1.6,
        detail=f"pairs {timing.spread}; {median(timing.candidate):.2f} against {median(timing.baseline):.2f} s",
    )


def run(folder: str, *command: str) -> None:
    # Compiled modules are kept, as they are where clipdb is installed, whatever this shell has set.
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(folder) / "pycache")}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | kept)


def make_index(index: Path) -> None:
    creation.create(index)
    heads = [{"model_id": MODEL, "layer": layer, "head": head} for layer in LAYERS for head in HEADS]
    with catalog.changing(index) as connection:
        put(connection, "head_statistics", heads)
        # A pick's text and share of variance don't matter for the time.
        pick = {"pool": "general", "text_id": "0" * 64, "text": "a photo of something blue", "run": "0"}
        share = {"variance_explained": 0.05}
        for rank in SPANS:
            picked = pick | share | {"rank": rank + 1, "cumulative_variance": 0.05 * (rank + 1)}
            put(connection, "spans", [h | picked for h in heads])


if __name__ == "__main__":
    main()
