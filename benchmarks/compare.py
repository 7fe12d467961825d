"""Comparisons of the heads of two models, and of one model's, against the matrix products that they can't do without.

    python benchmarks/compare.py

The index is synthetic: two models of 48 heads of 64 over the same 51,200 images, in float16; it is built in a
temporary folder first. Cold is an index that was just opened, its vectors on the disk (in the page cache, as after a
build).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import lance
import numpy as np
from measure import alternate, report, seconds

import clipdb
from clipdb._util.stages import untold
from clipdb.ingest.descriptions.head_pairs import refresh_pairs
from clipdb.ingest.store.writer import Writer
from clipdb.schema.vectors import images_path
from queries import build

ONE, OTHER = "synthetic/one", "synthetic/other"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--index", type=Path, help="Build it here and keep it, or use what an earlier call kept.")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clipdb-"))
    path = options.index or folder / "synthetic.clipdb"
    try:
        if not path.exists():
            build(path, options.images, (ONE, OTHER))
        for images in (0, 10_000):
            cold(path, images, options.repeats)
        with Writer(path, "span", {}) as writer:
            spent = seconds(lambda: refresh_pairs(writer, [ONE, OTHER], untold))
        report("all pairs of both models, computed and stored: s", spent, detail="10,000 images a pair of heads")
        stored(path, options.repeats)
    finally:
        shutil.rmtree(folder)


def cold(path: Path, images: int, repeats: int) -> None:
    """Compare what nobody stored."""
    one, other = (vectors(path, model)[: images or None] for model in (ONE, OTHER))

    def products() -> object:
        """X^T Y of all heads, and X^T X of each: what CKA is made of."""
        own = [heads[:, at : at + 64].T @ heads[:, at : at + 64] for heads in (one, other) for at in range(0, 3072, 64)]
        return one.T @ other, own

    def compared() -> object:
        with clipdb.open(path) as db:
            return db.rows("compare_heads", a=ONE, b=OTHER, images=images)

    spent: dict[object, list[float]] = {products: [], compared: []}

    def timed(call: Callable[[], object]) -> object:
        before = time.process_time()
        found = call()
        spent[call].append(time.process_time() - before)
        return found

    timing = alternate(lambda: timed(products), lambda: timed(compared), repeats)
    base, candidate = median(timing.baseline), median(timing.candidate)
    processor = median(spent[compared][1:]) / median(spent[products][1:])
    report(
        f"compare two models, {len(one):,} images, cold: time over numpy's products",
        timing.ratio,
        most=1.5 if not images else None,
        detail=f"{candidate:.2f} against {base:.2f} s, pairs {timing.spread} times; processor time {processor:.3g}",
    )


def vectors(path: Path, model: str) -> np.ndarray:
    """Return all heads side by side, float32 ``[images, 3072]``."""
    table = lance.dataset(str(images_path(path, model))).to_table()
    names = [name for name in table.column_names if name.startswith("l")]
    columns = (table.column(name).combine_chunks().flatten().to_numpy().reshape(-1, 64) for name in names)
    return np.hstack([column.astype(np.float32) for column in columns])


def stored(path: Path, repeats: int) -> None:
    """Ask for what is stored, in an index that is open and in one that has to be opened."""
    with clipdb.open(path) as db:
        questions = {
            "compare_heads": lambda: db.rows("compare_heads", a=ONE, b=OTHER),
            "query compare": lambda: db.query.compare(a=ONE, b=OTHER).fetchall(),
            "query alike": lambda: db.query.alike(model=ONE).fetchall(),
            "query match": lambda: db.query.match(a=ONE, b=OTHER).fetchall(),
        }
        for name, ask in questions.items():
            ask()
            times = [seconds(ask) * 1e3 for _ in range(10 * repeats)]
            detail = f"{min(times):.1f} to {max(times):.1f}, in an open index"
            report(f"{name}, stored: ms", median(times), most=100, detail=detail)


if __name__ == "__main__":
    main()
