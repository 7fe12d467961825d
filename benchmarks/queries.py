"""Exact neighbours in one head and in the heads of a property, against numpy on the same vectors in memory.

    python benchmarks/queries.py

The index is synthetic, 51,200 images x 48 heads x 64 in float16, and is built in a temporary folder first.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import lance
import numpy as np
import pyarrow as pa
from measure import Comparison, alternate, report

import clipdb
from clipdb.ingest.store.rows import put
from clipdb.schema import catalog, creation
from clipdb.schema.names import head_column, head_name
from clipdb.schema.vectors import images_path, images_schema

MODEL, RUN = "synthetic/noise", "20260101T000000000000-0000"
LAYERS, HEADS, SIZE, EMBED = (8, 9, 10, 11), 12, 64, 512
PROPERTY_LAYER = 11  # its 12 heads carry one property
ROWS = 4096  # of a batch that is written
K = 10


def build(path: Path, images: int, models: Sequence[str] = (MODEL,)) -> None:
    """Write an index of noise."""
    creation.create(path)
    rng = np.random.default_rng(0)
    with catalog.changing(path) as connection:
        connection.execute(
            "insert into images select sha256('image ' || n), '/pictures/' || n || '.jpg', 224, 224, 'JPEG', 'test', "
            "'class ' || n % 100, null from range(?) as r(n)",
            [images],
        )
        ids = [row[0] for row in connection.execute("select image_id from images").fetchall()]
        for model in models:
            add_model(connection, path, model, ids, rng)


def add_model(
    connection: duckdb.DuckDBPyConnection, path: Path, model: str, ids: list[str], rng: np.random.Generator
) -> None:
    size = {"layers": 12, "heads": HEADS, "head_dim": SIZE, "width": 768, "embed_dim": EMBED, "image_size": 224}
    put(connection, "models", [{"model_id": model, **size, "pooling": "tok", "logit_scale": 100.0}])
    heads = [{"model_id": model, "layer": layer, "head": head} for layer in LAYERS for head in range(HEADS)]
    basis = [np.linalg.qr(rng.standard_normal((EMBED, SIZE)))[0].astype(np.float32).ravel() for _ in heads]
    put(connection, "bases", [{**one, "basis": matrix, "size": SIZE} for one, matrix in zip(heads, basis, strict=True)])
    statistics = {"mean": np.zeros(SIZE, np.float32), "total_variance": 64.0, "effective_rank": 64.0}
    put(connection, "head_statistics", [one | statistics for one in heads])
    now = datetime.datetime.now(datetime.UTC)
    label = {"pool": "general", "labeller": "vote", "run": RUN, "property": "texture", "confidence": 0.5}
    labelled = [one | label for one in heads if one["layer"] == PROPERTY_LAYER]
    put(connection, "labels", [one | {"status": "ok", "created_at": now} for one in labelled])
    table = lance.write_dataset(batches(ids, rng), str(images_path(path, model)), schema=schema())
    batch = {"model_id": model, "kind": "images", "run": RUN, "batch": 0, "lance_version": table.version}
    put(connection, "batches", [batch | {"added": len(ids), "committed_at": now}])


def schema() -> pa.Schema:
    return images_schema(EMBED, {(layer, head): SIZE for layer in LAYERS for head in range(HEADS)})


def batches(ids: list[str], rng: np.random.Generator) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the image vectors."""

    def noise(count: int, width: int) -> pa.Array:
        values = rng.standard_normal((count, width), np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float16).ravel()), width)

    for start in range(0, len(ids), ROWS):
        some = ids[start : start + ROWS]
        columns = {
            "image_id": pa.array(some),
            "embedding": noise(len(some), EMBED),
            "norm": pa.array(np.full(len(some), 10, np.float32)),
            "_run": pa.array([RUN] * len(some)),
            "_batch": pa.array([0] * len(some), pa.int32()),
        } | {head_column(layer, head): noise(len(some), SIZE) for layer in LAYERS for head in range(HEADS)}
        yield pa.record_batch(columns, schema=schema())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=51_200)
    parser.add_argument("--repeats", type=int, default=51)
    parser.add_argument("--index", type=Path, help="Build it here and keep it, or use what an earlier call kept.")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clipdb-"))
    path = options.index or folder / "synthetic.clipdb"
    try:
        if not path.exists():
            build(path, options.images)
        with clipdb.open(path) as db:
            compare(db, options.repeats)
    finally:
        shutil.rmtree(folder)


def compare(db: clipdb.Index, repeats: int) -> None:
    store, random = db.context.store, np.random.default_rng(1)
    ids = [one.decode() for one in store.ids(MODEL, "images")]
    # Heads are taken in turn, so that each search finds its head in memory and not in the processor's cache.
    keys = [(PROPERTY_LAYER, head) for head in range(HEADS)]
    matrices = [store.head(MODEL, "images", key)[:] for key in keys]  # float32, whatever the store keeps
    turn = itertools.count()
    what = f"top {K} of {len(ids):,} x {SIZE} in one head"

    def product() -> object:
        """One matrix-vector product and the k largest, which is what a search can't do without."""
        vectors = matrices[next(turn) % HEADS]
        scores = vectors @ vectors[random.integers(len(ids))]
        return np.argpartition(scores, len(scores) - K)[-K:]

    def asked() -> dict[str, Any]:
        return {"head": head_name(*keys[next(turn) % HEADS]), "image": ids[random.integers(len(ids))], "k": K}

    def one_head(measure: str = "cosine") -> object:
        return db.rows("neighbours", **asked(), measure=measure)

    def in_sql() -> object:
        return db.execute("select * from neighbours(null, $head, $image, $k)", asked()).fetchall()

    def named() -> object:
        return db.query.neighbours(**asked()).fetchall()

    def of_property(space: str) -> object:
        return db.rows("property_neighbours", image=asked()["image"], like="texture", k=K, space=space)

    for call in (one_head, partial(one_head, "centred"), partial(one_head, "dot")):
        for _ in keys:
            call()  # which reads the heads and computes lengths
    kept = store.kept_bytes
    for measure in ("cosine", "centred", "dot"):
        timing = alternate(product, partial(one_head, measure), repeats)
        report(f"{what}, {measure}: time over numpy", timing.ratio, most=3, detail=absolute(timing))
    for name, ask, bound in (("the macro", in_sql, 3), ("the named query, with images joined", named, None)):
        timing = alternate(one_head, ask, repeats)
        extra = median(c - b for b, c in zip(timing.baseline, timing.candidate, strict=True)) * 1e3
        report(f"{what}, {name}: ms over Python", extra, most=bound, detail=absolute(timing))
    for space in ("joint", "heads"):
        timing = alternate(one_head, partial(of_property, space), repeats)
        report(
            f"property neighbours over {HEADS} heads, {space}: time over one head",
            timing.ratio,
            most=HEADS,
            detail=absolute(timing),
        )
    each = matrices[0].nbytes / 2**20
    detail = f"{each:.1f} MiB a head and {kept / 2**20 / HEADS - each:.2f} for its lengths"
    report(f"cache of {HEADS} heads, all measures: MiB", kept / 2**20, detail=detail)


def absolute(timing: Comparison) -> str:
    base, candidate = (median(times) * 1e3 for times in (timing.baseline, timing.candidate))
    return f"{candidate:.2f} against {base:.2f} ms, pairs {timing.spread} times"


if __name__ == "__main__":
    main()
