"""A synthetic index of any size: clusters that the heads of a layer see alike, about a mean of each head's own."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from clipdb.ingest.store.rows import put
from clipdb.schema import catalog, creation
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_path, images_schema, texts_path, texts_schema
from queries import EMBED, HEADS, LAYERS, MODEL, PROPERTY_LAYER, RUN, SIZE

POOL, POOL_TEXTS, CLASSES = "made", 1000, 100
CLUSTERS, DIMENSIONS, NOISE = 200, 16, 0.1
ROWS = 8192  # of a batch that is written
KEYS = [(layer, head) for layer in LAYERS for head in range(HEADS)]
SIZES = dict.fromkeys(KEYS, SIZE)


def build(path: Path, images: int) -> None:
    """Write an index of so many images: 48 heads of 64 numbers, classes, a pool of texts, and one property."""
    creation.create(path)
    rng = np.random.default_rng(0)
    means = {key: rng.standard_normal(SIZE, np.float32) for key in KEYS}
    bases = {key: np.linalg.qr(rng.standard_normal((EMBED, SIZE)))[0].astype(np.float32) for key in KEYS}
    now = datetime.datetime.now(datetime.UTC)
    with catalog.changing(path) as connection:
        connection.execute(
            "insert into images select sha256('image ' || n), '/pictures/' || n || '.jpg', 224, 224, 'JPEG', 'test', "
            "'class ' || n % ?, null from range(?) as r(n)",
            [CLASSES, images],
        )
        ids = connection.execute("select image_id from images").to_arrow_table().column(0).combine_chunks()
        size = {"layers": 12, "heads": HEADS, "head_dim": SIZE, "width": 768, "embed_dim": EMBED, "image_size": 224}
        put(connection, "models", [{"model_id": MODEL, **size, "pooling": "tok", "logit_scale": 100.0}])
        heads = [{"model_id": MODEL, "layer": layer, "head": head} for layer, head in KEYS]
        put(connection, "bases", [one | {"basis": bases[key].ravel(), "size": SIZE} for one, key in _with(heads)])
        spread = {"total_variance": 16.0, "effective_rank": 16.0}
        put(connection, "head_statistics", [one | spread | {"mean": means[key]} for one, key in _with(heads)])
        label = {"pool": "general", "labeller": "vote", "run": RUN, "property": "texture", "confidence": 0.5}
        labelled = [one | label for one in heads if one["layer"] == PROPERTY_LAYER]
        put(connection, "labels", [one | {"status": "ok", "created_at": now} for one in labelled])
        texts = [f"text {n}" for n in range(POOL_TEXTS)] + [f"a photo of a class {n}" for n in range(CLASSES)]
        text_ids = [sha256(text.encode()).hexdigest() for text in texts]
        put(connection, "texts", [{"text_id": i, "text": text} for i, text in zip(text_ids, texts, strict=True)])
        put(connection, "pools", [{"pool": POOL, "name": POOL}])
        members = [{"pool": POOL, "text_id": i, "position": n} for n, i in enumerate(text_ids[:POOL_TEXTS])]
        put(connection, "pool_texts", members)
        tables = {
            "images": (images_path(path, MODEL), _images(ids, means, rng), images_schema(EMBED, SIZES)),
            "texts": (texts_path(path, MODEL), _texts(text_ids, bases, rng), texts_schema(EMBED, SIZES)),
        }
        for kind, (place, batches, schema) in tables.items():
            version = lance.write_dataset(batches, str(place), schema=schema).version
            batch = {"model_id": MODEL, "kind": kind, "run": RUN, "batch": 0, "lance_version": version}
            put(connection, "batches", [batch | {"added": len(ids), "committed_at": now}])


def _with(heads: list[dict[str, object]]) -> Iterator[tuple[dict[str, object], tuple[int, int]]]:
    return zip(heads, KEYS, strict=True)


def _images(
    ids: pa.Array, means: dict[tuple[int, int], np.ndarray], rng: np.random.Generator
) -> Iterator[pa.RecordBatch]:
    def normal(shape: tuple[int, int]) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    spaces = {key: np.linalg.qr(normal((SIZE, DIMENSIONS)))[0].T for key in KEYS}
    centres = {key: normal((CLUSTERS, DIMENSIONS)) for key in KEYS}
    for one in centres.values():
        one -= one.mean(axis=0)
    for start in range(0, len(ids), ROWS):
        some = ids[start : start + ROWS]
        embedding = normal((len(some), EMBED))
        embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
        columns = {"image_id": some, "embedding": _lists(embedding)} | {
            "norm": pa.array(np.full(len(some), 10, np.float32)),
            "_run": pa.array([RUN] * len(some)),
            "_batch": pa.array([0] * len(some), pa.int32()),
        }
        seen = {layer: rng.integers(CLUSTERS, size=len(some)) for layer in LAYERS}
        for layer, head in KEYS:
            key = layer, head
            inside = centres[key][seen[layer]] + np.float32(0.3) * normal((len(some), DIMENSIONS))
            vectors = means[key] + inside @ spaces[key] + np.float32(NOISE) * normal((len(some), SIZE))
            columns[head_column(layer, head)] = _lists(vectors)
        yield pa.record_batch(columns, schema=images_schema(EMBED, SIZES))


def _texts(
    ids: list[str], bases: dict[tuple[int, int], np.ndarray], rng: np.random.Generator
) -> Iterator[pa.RecordBatch]:
    embedding = rng.standard_normal((len(ids), EMBED), np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    columns = {"text_id": pa.array(ids), "embedding": _lists(embedding, np.float32)} | {
        "_run": pa.array([RUN] * len(ids)),
        "_batch": pa.array([0] * len(ids), pa.int32()),
    }
    columns |= {head_column(*key): _lists(embedding @ bases[key]) for key in KEYS}
    yield pa.record_batch(columns, schema=texts_schema(EMBED, SIZES))


def _lists(values: np.ndarray, kind: type = np.float16) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(kind).ravel()), values.shape[1])
