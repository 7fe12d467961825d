"""Naming 48 heads over 51,200 images by the pool `general`, against the sums by group alone as one-hot products.

    python benchmarks/zero_shot.py

The index is synthetic, in float16, and is built in a temporary folder first. Its texts are noise, so that no two of the
4,477 descriptions mean the same: the most groups that the pool can have. The baseline has the vectors and the groups in
memory and multiplies, for each property, a one-hot matrix by all vectors in float32; clipdb reads them from disk,
groups the images, sums in float64 and measures shares and chance.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
from measure import alternate, report

from clipdb.ingest.descriptions.pool_ingest import ensure_pool
from clipdb.ingest.descriptions.texts import pool_members
from clipdb.ingest.names.labellers.zero_shot import label
from clipdb.ingest.store.vector_arrays import vector_column, vector_matrix
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_path, texts_schema
from queries import EMBED, HEADS, LAYERS, MODEL, ROWS, SIZE, build

POOL = "general"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index.clipdb"
        build(index, options.images)
        sizes = add_texts(index)
        vectors = in_memory(index)
        rng = np.random.default_rng(1)
        members = [rng.integers(size, size=options.images) for size in sizes]
        times = alternate(lambda: products(vectors, members), lambda: name(index), options.repeats)
    heads = len(LAYERS) * HEADS
    what = (
        f"zero-shot, {heads} heads x {options.images:,} images, {sum(sizes):,} descriptions of {len(sizes)} properties"
    )
    report(
        f"{what}: time over one-hot products of vectors in memory",
        times.ratio,
        most=2,
        detail=f"pairs {times.spread}; {min(times.candidate):.1f} against {min(times.baseline):.1f} s at best",
    )
    report(f"{what}: seconds", sorted(times.candidate)[len(times.candidate) // 2], most=60, detail="median")


def add_texts(index: Path) -> list[int]:
    """Store the pool with embeddings of noise; say how many descriptions each property has."""
    rng = np.random.default_rng(2)
    with Writer(index, "benchmark", {}) as writer:
        ensure_pool(writer, POOL)
        ids = [key for key, _ in pool_members(writer, POOL)]
        noise = rng.standard_normal((len(ids), EMBED))
        schema = texts_schema(EMBED, {})
        unit = vector_column(noise / np.linalg.norm(noise, axis=1, keepdims=True), np.float32)
        columns = {"text_id": pa.array(ids), "embedding": unit}
        rows = pa.table(columns).cast(pa.schema([schema.field(column) for column in columns]))
        VectorTable(writer, MODEL, "texts").commit(rows, lambda connection: None)
        counts = writer.read(
            "select count(*) from pool_texts where pool = ? group by property order by min(position)", POOL
        )
    return [count for (count,) in counts]


def in_memory(index: Path) -> np.ndarray:
    """Read the vectors of all heads, float32 ``[images, heads x size]``."""
    columns = [head_column(layer, head) for layer in LAYERS for head in range(HEADS)]
    table = lance.dataset(str(images_path(index, MODEL))).to_table(columns=columns)
    vectors = np.empty((len(table), len(columns) * SIZE), np.float32)
    for place, column in enumerate(columns):
        vectors[:, place * SIZE : (place + 1) * SIZE] = vector_matrix(table.column(column))
    return vectors


def products(vectors: np.ndarray, members: list[np.ndarray]) -> list[np.ndarray]:
    """Sum the vectors by group, for each property."""
    sums = []
    for of_property in members:
        groups = of_property.max() + 1
        summed = np.zeros((groups, vectors.shape[1]), np.float32)
        for start in range(0, len(vectors), ROWS):
            some = of_property[start : start + ROWS]
            one_hot = np.zeros((groups, len(some)), np.float32)
            one_hot[some, np.arange(len(some))] = 1
            summed += one_hot @ vectors[start : start + ROWS]
        sums.append(summed)
    return sums


def name(index: Path) -> None:
    labelled = label(index, POOL)
    assert labelled.named + labelled.nameless + labelled.same == len(LAYERS) * HEADS, labelled


if __name__ == "__main__":
    main()
