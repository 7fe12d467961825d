"""Questions to indexes of 10,000 to 1,000,000 images: first and repeated time, peak memory, and how the time grows.

    python benchmarks/millions.py --folder /big/disk --sizes 10000 100000 1000000

Each question is asked in a process of its own, which opens the index first; the time of the processors comes after that
of the clock. At last two searches and numpy take turns in one process, on the largest index. A folder that is named is
kept and used again: an index of a million images of 48 heads x 64 takes 7.5 GB and some minutes. Files are in the page
cache.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import lance
import numpy as np
from made_vectors import POOL, build
from measure import alternate, report, seconds

import clipdb
from clipdb.queries.holdings import holdings
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_path
from queries import HEADS, MODEL, PROPERTY_LAYER

K = 10
ONE = {"head": f"L{PROPERTY_LAYER}.H3"}
TEXTURE = {"like": "texture"}  # which 12 heads carry
BY_LABEL = {"heads": f"L{PROPERTY_LAYER}.H0,L{PROPERTY_LAYER}.H1"}
Ask = Callable[[clipdb.Index, str], object]
QUESTIONS: dict[str, Ask] = {
    "open, heads": lambda db, _: db.query.heads().fetchall(),
    "info": lambda db, _: holdings(db).fetchall(),
    "neighbours": lambda db, image: db.rows("neighbours", image=image, exact=True, **ONE),
    "neighbours, centred": lambda db, image: db.rows("neighbours", image=image, measure="centred", **ONE),
    "text_neighbours": lambda db, _: db.rows("text_neighbours", text="text 3", exact=True, **ONE),
    "neighbours, by index": lambda db, image: db.rows("neighbours", image=image, **ONE),
    "text_neighbours, by index": lambda db, _: db.rows("text_neighbours", text="text 3", **ONE),
    "property_neighbours, 12 heads": lambda db, image: db.rows(
        "property_neighbours", image=image, exact=True, **TEXTURE
    ),
    "property_neighbours, by index": lambda db, image: db.rows("property_neighbours", image=image, **TEXTURE),
    "embedding_neighbours": lambda db, image: db.rows("embedding_neighbours", image=image),
    "activating": lambda db, _: db.rows("activating", **ONE),
    "outliers": lambda db, _: db.rows("outliers", **ONE),
    "alike, of 9,999": lambda db, _: db.rows("alike", images=9999),  # which `clipdb span` doesn't store
    "ablate, 2 heads": lambda db, _: db.rows("ablate", **BY_LABEL),
    "span": lambda db, _: clipdb.span(db.path, pool=POOL),
    "reconstruct": lambda db, _: db.rows("reconstruct", pool=POOL),
}
INDEXED = {  # the heads whose vector indexes a question is about, which are made before it is asked
    "neighbours, by index": ONE["head"],
    "text_neighbours, by index": ONE["head"],
    "property_neighbours, by index": "property=texture",
}
SLOW = 20.0  # seconds of a question that is repeated once only
ONCE = {"span"}  # again it would find its texts and pairs stored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="Build here and keep it, or use what an earlier call kept.")
    parser.add_argument("--only", nargs="+", default=["numpy, 1 head", "numpy, 12 heads", *QUESTIONS])
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        print(json.dumps(ask(options.folder, options.ask)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True, parents=True)
        paths = {size: folder / f"{size}.clipdb" for size in options.sizes}
        for size, path in paths.items():
            if not path.exists():
                print(f"built {size:,} images in {seconds(partial(build, path, size)):.0f} s", file=sys.stderr)
        sizes = " | ".join(f"{size:,} images" for size in paths)
        print(f"| seconds: first (CPU), again (CPU); MiB | {sizes} | grows with n to the | load |")
        print(f"|{'---|' * (len(paths) + 3)}", flush=True)
        for name in options.only:
            row(name, paths)
        against_numpy(paths[max(paths)], max(paths))


def row(name: str, paths: dict[int, Path]) -> None:
    """Ask in a process for each size, and print what came out."""
    if name in INDEXED:
        for path in paths.values():
            clipdb.index_vectors(path, INDEXED[name], progress=False)
    found = {size: in_process(path, name) for size, path in paths.items()}
    cells = [
        f"{one['first']:.3g} ({one['first_cpu']:.3g}), {one['again']:.3g} ({one['again_cpu']:.3g}); {one['peak']:.0f}"
        for one in found.values()
    ]
    small, large = min(found), max(found)
    growth = ""
    if small < large:
        powers = (math.log(found[large][key] / found[small][key]) / math.log(large / small) for key in KINDS)
        growth = ", ".join(f"{power:.2f}" for power in powers)
    print(f"| {name} | {' | '.join(cells)} | {growth} | {os.getloadavg()[0]:.1f} |", flush=True)


KINDS = ("first_cpu", "again_cpu")  # which a busy machine disturbs less


def in_process(path: Path, name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(path), "--ask", name]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer


def ask(path: Path, name: str) -> dict[str, float]:
    """Time one question, of another image each time, and return the most memory that this process held."""
    began, began_cpu = time.perf_counter(), time.process_time()
    with contextlib.ExitStack() as held:
        if name.startswith("numpy"):
            asked = numpy_product(path, 1 if name == "numpy, 1 head" else HEADS)
            calls = [asked] * 7
        else:
            db = held.enter_context(clipdb.open(path))
            images = [image for (image,) in db.execute("select image_id from images limit 8").fetchall()]
            calls = [partial(QUESTIONS[name], db, image) for image in images]
            calls.pop(0)()
        first, first_cpu = time.perf_counter() - began, time.process_time() - began_cpu
        if name in ONCE:
            calls = []
        began_cpu = time.process_time()
        again = [seconds(call) for call in (calls if first < SLOW else calls[:1])]
        again_cpu = (time.process_time() - began_cpu) / max(1, len(again))
    # Of its own: what getrusage says begins with that of the parent.
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    return {
        "first": first,
        "first_cpu": first_cpu,
        "again": median(again) if again else math.nan,
        "again_cpu": again_cpu,
        "peak": peak,
    }


def against_numpy(path: Path, size: int) -> None:
    """Print how long a search takes that has been asked before, against numpy on the same vectors in memory."""
    with clipdb.open(path) as db:
        images = [image for (image,) in db.execute("select image_id from images limit 50").fetchall()]
        turn = itertools.cycle(images)
        for heads, question, most in ((1, "neighbours", 3), (HEADS, "property_neighbours, 12 heads", 2)):
            timing = alternate(numpy_product(path, heads), lambda q=question: QUESTIONS[q](db, next(turn)), 9)  # type: ignore[misc]
            base, candidate = (1e3 * median(times) for times in (timing.baseline, timing.candidate))
            detail = f"{candidate:.0f} against {base:.0f} ms, pairs {timing.spread}; load {os.getloadavg()[0]:.1f}"
            report(f"{question} of {size:,} images: time over numpy", timing.ratio, most=most, detail=detail)


def numpy_product(path: Path, heads: int) -> Callable[[], object]:
    """Read heads and return what a search can't do without: a product for each, their sum, and the k largest."""
    table = lance.dataset(str(images_path(path, MODEL)))
    matrices = []
    for head in range(heads):
        column = table.to_table(columns=[head_column(PROPERTY_LAYER, head)]).column(0).combine_chunks()
        matrices.append(column.flatten().to_numpy().reshape(len(column), -1).astype(np.float32))
    random = np.random.default_rng(1)

    def product() -> object:
        row = random.integers(len(matrices[0]))
        scores = matrices[0] @ matrices[0][row]
        for matrix in matrices[1:]:
            scores += matrix @ matrix[row]
        return np.argpartition(scores, len(scores) - K)[-K:]

    return product


if __name__ == "__main__":
    main()
