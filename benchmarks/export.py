"""Export of 51,200 images x 48 heads x 64 in float16, against writing the same bytes to disk.

    python benchmarks/export.py

The index is synthetic and is built in a temporary folder first. Both sides end with every file synced to disk; each
writes into a new directory, so that no time goes into deleting an old one. It takes 5 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from measure import alternate, report

from clipdb.artefact.export import Options, export_index
from queries import EMBED, HEADS, LAYERS, SIZE, build


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where to build and write; else where temporary files go.")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        index, exported = Path(folder) / "index.clipdb", Path(folder) / "export"
        build(index, options.images)
        export_index(index, exported, Options())
        contents = [file.read_bytes() for file in sorted(exported.rglob("*.parquet"))]

        def export() -> None:
            export_index(index, Path(tempfile.mkdtemp(dir=folder)), Options())

        def write() -> None:
            copied = Path(tempfile.mkdtemp(dir=folder))
            for number, content in enumerate(contents):
                with (copied / f"{number}").open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())

        times = alternate(write, export, options.repeats)
        size = sum(file.stat().st_size for file in (exported / "vectors").rglob("*.parquet"))
    heads = len(LAYERS) * HEADS
    raw = 2 * options.images * (heads * SIZE + EMBED)
    what = f"export, {options.images:,} images x {heads} heads x {SIZE}"
    report(
        f"{what}: time over that of writing the same bytes",
        times.ratio,
        most=8,
        detail=f"{times.spread}; {min(times.candidate):.2f} against {min(times.baseline):.2f} s at best",
    )
    report(
        f"{what}: bytes of vectors over the float16 numbers' own",
        size / raw,
        most=1,
        detail=f"{size / 2**20:.0f} against {raw / 2**20:.0f} MiB",
    )


if __name__ == "__main__":
    main()
