"""Bytes on disk of an index's vectors against the float16 numbers in them.

    python benchmarks/disk.py

Synthetic vectors go through the table that an ingest writes, in commits of the size that it makes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from measure import report

from clipdb.ingest.store.vector_arrays import vector_column
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_schema, vectors_path

LAYERS, HEADS = range(8, 12), range(12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--commit", type=int, default=128, help="Images a commit.")
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--embed-dim", type=int, default=512)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index.clipdb"
        with Writer(index, "benchmark", {}, create=True) as writer:
            table = VectorTable(writer, "ViT-B-32/none", "images")
            for first in range(0, options.images, options.commit):
                table.commit(rows(range(first, min(first + options.commit, options.images)), options), lambda _: None)
            table.compact()
        used = sum(file.stat().st_size for file in vectors_path(index).rglob("*") if file.is_file())
    numbers = options.images * (len(LAYERS) * len(HEADS) * options.head_dim + options.embed_dim)
    report(
        f"disk, {options.images:,} images x {len(LAYERS) * len(HEADS)} heads: bytes over float16 vectors' own",
        used / (2 * numbers),
        most=1.1,
        detail=f"{used / 2**20:.1f} against {2 * numbers / 2**20:.1f} MiB",
    )


def rows(numbers: range, options: argparse.Namespace) -> pa.Table:
    random = np.random.default_rng(numbers.start)
    schema = images_schema(options.embed_dim, {(la, h): options.head_dim for la in LAYERS for h in HEADS})
    columns = {
        "image_id": pa.array([random.bytes(32).hex() for _ in numbers]),
        "embedding": vector_column(random.standard_normal((len(numbers), options.embed_dim))),
        "norm": pa.array(random.standard_normal(len(numbers)), pa.float32()),
    }
    for layer in LAYERS:
        for head in HEADS:
            vectors = random.standard_normal((len(numbers), options.head_dim))
            columns[head_column(layer, head)] = vector_column(vectors)
    return pa.table(list(columns.values()), schema=pa.schema([schema.field(name) for name in columns]))


if __name__ == "__main__":
    main()
