"""One publication of a catalog of a million images, against writing its bytes to disk.

    python benchmarks/publication.py

The rows are generated into the catalog that a writer works on. A publication copies that, syncs it and deletes the
snapshot before; to compare with, a file of the same bytes is written, synced, and put in the place of another.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

from measure import alternate, report

from clipdb.ingest.store.publishing import publish
from clipdb.schema import catalog, creation
from clipdb.schema.snapshots import CATALOG

ROWS = """
insert into images by name
select sha256(n::text) as image_id, '/data/photographs/' || n // 1000 || '/' || n || '.jpg' as uri, 640 as width,
    480 as height, 'JPEG' as format, 'train' as split, 'class ' || n % 1000 as label,
    {'photographer': n % 97, 'taken': timestamp '2020-01-01' + to_minutes(n)}::json as metadata
from range(?) of_rows(n)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="Where to build and write; else where temporary files go.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        index, copied = Path(folder) / "index.clipdb", Path(folder) / "copied"
        creation.create(index)
        with catalog.changing(index) as connection:
            connection.execute(ROWS, [options.images])
        content = (index / CATALOG).read_bytes()

        def write() -> None:
            building = copied.with_suffix(".new")
            with building.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            building.replace(copied)

        times = alternate(write, lambda: publish(index, catalog.connect_writing(index)), options.repeats)
    what = f"publication of {options.images:,} images' rows"
    detail = f"{min(times.candidate):.2f} to {max(times.candidate):.2f} s; {len(content) / 2**20:.0f} MiB"
    report(f"{what}: seconds", median(times.candidate), most=1, detail=detail)
    best = f"{min(times.candidate):.2f} against {min(times.baseline):.2f} s at best"
    report(f"{what}: time over that of writing its bytes", times.ratio, detail=f"pairs {times.spread}; {best}")


if __name__ == "__main__":
    main()
