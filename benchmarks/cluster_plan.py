"""What an ingest of many images takes on a cluster, from costs that are measured here.

    python benchmarks/cluster_plan.py --measure                          # the driver's costs on this machine
    python benchmarks/cluster_plan.py --images 100000000 --actors 8 64   # simulated with the costs of docs/scale.md

``--measure`` writes fragments as actors do and commits them as the driver does, into an index of its own; the vectors
are short, since neither a commit nor the ids' index reads them, and what a compaction writes again is scaled to
``--bytes`` a row.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
from driver_model import Actors, Costs, simulate
from measure import seconds

MODEL, EMBED, SIZE = "made/vectors", 64, 64
HEADS = {(11, 0): SIZE}
_NARROW = 2 * (EMBED + SIZE) + 100  # bytes of such a row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="Measure the driver's costs first, and use them.")
    parser.add_argument(
        "--bytes", type=int, default=7300, help="Bytes of an image's vectors: 7,300 for 48 heads of 64."
    )
    parser.add_argument("--images", type=int, nargs="*", default=[1_000_000, 100_000_000])
    parser.add_argument("--actors", type=int, nargs="*", default=[1, 8, 64])
    parser.add_argument("--rate", type=float, default=2000.0, help="Images a second of one actor.")
    parser.add_argument("--window", type=int, default=1024, help="Images of a window: four batches.")
    parser.add_argument("--deaths", type=float, default=0.01, help="Deaths of an actor per hour.")
    options = parser.parse_args()
    costs = Costs()
    if options.measure:
        with tempfile.TemporaryDirectory() as folder:
            costs = measured(Path(folder), options.bytes)
        print(", ".join(f"{name} {value:.2g}" for name, value in asdict(costs).items()))
    print(
        "| images | actors | hours | of the ideal | driver busy | of it compacting | commits | images embedded again |"
    )
    print("|---" * 8 + "|")
    for images in options.images:
        for count in options.actors:
            actors = Actors(count, options.rate, options.window, deaths=options.deaths)
            found = simulate(images, actors, costs)
            ideal = images / (count * options.rate)
            shares = f"{ideal / found.seconds:.2f} | {found.busy:.2f} | {found.compacting:.2f}"
            counts = f"{found.commits:,} | {found.redone:,}"
            print(f"| {images:,} | {count} | {found.seconds / 3600:.2f} | {shares} | {counts} |", flush=True)


def measured(folder: Path, row_bytes: int) -> Costs:
    """Time commits and compactions of the store, and fit the costs by least squares."""
    import lance
    from lance.fragment import write_fragments

    from clipdb.ingest.store.rows import put
    from clipdb.ingest.store.vector_table import VectorTable, with_batch
    from clipdb.ingest.store.writer import Writer
    from clipdb.schema.vectors import images_schema

    schema = images_schema(EMBED, HEADS)
    commits: list[list[float]] = []
    looks: list[float] = []
    made = 0
    with Writer(folder / "plan.clipdb", "measure", {}, create=True) as writer:
        table = VectorTable(writer, MODEL, "images")
        table.begin(schema)
        for fragments, rows, times in ((1, 64, 8), (8, 64, 8), (32, 64, 4), (1, 4096, 6), (4, 4096, 6), (16, 1024, 6)):
            for _ in range(times):
                batches, written, ids = {}, [], []
                for _ in range(fragments):
                    batch, names = table.next_batch(), [sha256(b"%d" % n).hexdigest() for n in range(made, made + rows)]
                    made += rows
                    batches[batch] = rows
                    ids += names
                    made_rows = with_batch(_rows(names), writer.run, batch).select(schema.names)
                    written += write_fragments(made_rows, str(table.path), mode="append")
                assert table.dataset is not None
                held = len(table.dataset.get_fragments())
                images = [{"image_id": one, "uri": f"/pictures/{one}.jpg", "width": 224, "height": 224} for one in ids]
                looks.append(seconds(partial(table.known, ids[:1024])))
                record = partial(put, table="images", rows=images)
                took = seconds(partial(table.commit_fragments, written, record, added=batches))
                commits.append([1, fragments, fragments * rows, held, took])
        stored = lance.dataset(str(table.path))
        written_again = seconds(stored.optimize.compact_files) / made * row_bytes / _NARROW
        stored = lance.dataset(str(table.path))
        indexed = seconds(partial(stored.create_scalar_index, table.key, "BTREE", replace=True)) / made
    each = np.array(commits)
    commit, fragment, row, each_held = _fitted(each[:, :-1], each[:, -1])
    return Costs(float(np.median(looks)), commit, fragment, row, each_held, written_again, indexed)


def _rows(ids: list[str]) -> pa.Table:
    rng = np.random.default_rng(0)

    def vectors(size: int) -> pa.Array:
        values = pa.array(rng.standard_normal(len(ids) * size, np.float32).astype(np.float16))
        return pa.FixedSizeListArray.from_arrays(values, size)

    columns = {"image_id": pa.array(ids), "embedding": vectors(EMBED), "norm": pa.array(np.ones(len(ids), np.float32))}
    return pa.table(columns | {"l11h0": vectors(SIZE)})


def _fitted(what: np.ndarray, times: np.ndarray) -> list[float]:
    """Fit costs that can't be negative."""
    from scipy.optimize import nnls

    return [float(one) for one in nnls(what, times)[0]]


if __name__ == "__main__":
    main()
