"""An ingest into an index that others read, against one beside processes that are as busy elsewhere.

    python benchmarks/readers.py

Eight readers open the index, ask and close it, without pause; to compare with, they do the same with a copy that nobody
writes to. And one connection is held open throughout, against none. The time of an ingest counts from the moment that
its model is loaded.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from measure import Comparison, report

import clipdb
from clipdb import demo
from clipdb._util.stages import Progress
from clipdb.ingest.images.image_ingest import ingest_images
from clipdb.ingest.images.image_options import ImageOptions

READ = """
import itertools, sys, clipdb
for number in itertools.count():
    with clipdb.open(sys.argv[1], models=False) as index:
        index.query.heads().fetchall()
        index.sql("select count(*) from images join image_vectors using (image_id)").fetchall()
    if number == 0:
        print("asking", flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo.write_scenes(folder / "scenes", options.images, seed=1)
        index, still = folder / "index.clipdb", folder / "still.clipdb"
        first = sorted((folder / "scenes").glob("*.png"))[: options.images // 10]
        ingest_images(still, [str(one) for one in first], demo.MODEL_ID, ImageOptions(workers=0))

        def measured(readers: int, read: Path, hold: bool = False) -> float:
            shutil.copytree(still, index, symlinks=True)
            with busy(readers, read), clipdb.open(index) if hold else nullcontext():
                seconds = ingest_seconds(index, folder / "scenes")
            shutil.rmtree(index)
            return seconds

        measured(0, index)  # warm up
        beside = [(measured(options.readers, still), measured(options.readers, index)) for _ in range(options.repeats)]
        held = [(measured(0, index), measured(0, index, hold=True)) for _ in range(options.repeats)]
    what = f"ingest of {options.images:,} images"
    for pairs, by, most in (
        (beside, f"beside {options.readers} readers: time over that beside as busy processes", 1.1),
        (held, "with a connection held open: time over that without", 1.05),
    ):
        times = Comparison([a for a, _ in pairs], [b for _, b in pairs])
        best = f"{min(times.candidate):.2f} against {min(times.baseline):.2f} s at best"
        report(f"{what} {by}", times.ratio, most=most, detail=f"pairs {times.spread}; {best}")


@contextmanager
def busy(count: int, index: Path) -> Iterator[None]:
    """Have so many processes read an index without pause."""
    command = [sys.executable, "-c", READ, str(index)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline()
        yield
        assert all(process.poll() is None for process in processes), "a reader failed"
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def ingest_seconds(index: Path, source: Path) -> float:
    """Time an ingest from the moment that its model is loaded."""
    loaded = 0.0

    def mark(total: int | None) -> None:
        nonlocal loaded
        loaded = time.perf_counter()

    ingest_images(index, [str(source)], demo.MODEL_ID, ImageOptions(workers=0), Progress(total=mark))
    return time.perf_counter() - loaded


if __name__ == "__main__":
    main()
