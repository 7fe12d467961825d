"""An ingest into an index that others read, against one beside processes that are as busy elsewhere.

    python benchmarks/readers.py

Eight readers open the index, ask and close it, without pause; to compare with, they do the same with an index that
nobody writes to, which is as large as the other is halfway. And one connection is held open throughout, against none.
The time of an ingest counts from the moment that its model is loaded. Beside it stands the ratio of its processor time,
where whatever else a machine is doing hardly shows: work that readers make for a writer would show in both.
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
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Spent:
    """What an ingest took: time, and processor time of its process, in seconds."""

    seconds: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo.write_scenes(folder / "scenes", options.images, seed=1)
        index, begun, half = (folder / f"{name}.clipdb" for name in ("index", "begun", "half"))
        scenes = sorted((folder / "scenes").glob("*.png"))
        for made, count in ((begun, options.images // 10), (half, options.images * 11 // 20)):
            ingest_images(made, [str(one) for one in scenes[:count]], demo.MODEL_ID, ImageOptions(workers=0))

        def measured(readers: int, read: Path, hold: bool = False) -> Spent:
            shutil.copytree(begun, index, symlinks=True)
            with busy(readers, read), clipdb.open(index) if hold else nullcontext():
                spent = ingest(index, folder / "scenes")
            shutil.rmtree(index)
            return spent

        measured(0, index)  # warm up
        beside = [(measured(options.readers, half), measured(options.readers, index)) for _ in range(options.repeats)]
        held = [(measured(0, index), measured(0, index, hold=True)) for _ in range(options.repeats)]
    what = f"ingest of {options.images:,} images"
    for pairs, by, most in (
        (beside, f"beside {options.readers} readers: time over that beside as busy processes", 1.1),
        (held, "with a connection held open: time over that without", 1.05),
    ):
        times = Comparison([a.seconds for a, _ in pairs], [b.seconds for _, b in pairs])
        work = Comparison([a.processor for a, _ in pairs], [b.processor for _, b in pairs])
        best = f"{min(times.candidate):.2f} against {min(times.baseline):.2f} s at best"
        detail = f"pairs {times.spread}; {best}; of processor time {work.ratio:.3g}, pairs {work.spread}"
        report(f"{what} {by}", times.ratio, most=most, detail=detail)


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


def ingest(index: Path, source: Path) -> Spent:
    """Time an ingest from the moment that its model is loaded."""
    loaded = worked = 0.0

    def mark(total: int | None) -> None:
        nonlocal loaded, worked
        loaded, worked = time.perf_counter(), time.process_time()

    ingest_images(index, [str(source)], demo.MODEL_ID, ImageOptions(workers=0), Progress(total=mark))
    return Spent(time.perf_counter() - loaded, time.process_time() - worked)


if __name__ == "__main__":
    main()
