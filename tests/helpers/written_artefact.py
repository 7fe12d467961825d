"""Artefacts written with plain pyarrow, as the format says, in shards and row groups of any length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from built_index import EMBED, HEAD_DIM, HEADS, LAYERS, Built

from clipdb.artefact.format import (
    CARD,
    RELATIONS,
    WITH_VECTORS,
    File,
    Kind,
    Manifest,
    ModelEntry,
    What,
    columns_since,
    relation_path,
    relations_of,
    vectors_path,
)
from clipdb.artefact.parquet_columns import relation_schema, vectors_schema
from clipdb.schema.migrations import SCHEMA_VERSION
from clipdb.schema.names import MANIFEST

Vectors = Mapping[tuple[str, Kind], pa.Table]


def write(
    folder: Path,
    what: What,
    relations: Mapping[str, pa.Table],
    vectors: Vectors,
    shard: int = 32_768,
    group: int = 8192,
    version: int = SCHEMA_VERSION,
) -> Path:
    """Write an artefact of relations, which are empty where they are not given, and of vectors by model and kind."""
    files: list[File] = []

    def put(path: str, kind: Kind, name: str, table: pa.Table | None) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if table is None:
            file.write_text("---\n---\n")
        else:
            few = {"use_dictionary": False, "write_statistics": False, "compression_level": 1} if vectors else {}
            pq.write_table(table, file, compression="zstd", row_group_size=group, **few)
        data = file.read_bytes()
        rows = 0 if table is None else len(table)
        files.append(File(path, kind, name, rows, len(data), hashlib.sha256(data).hexdigest()))

    for name in WITH_VECTORS if what == "vectors" else relations_of(version):
        table = relations.get(name, relation_schema(name).empty_table())
        put(relation_path(name), "relation", name, table.drop_columns(columns_since(name, version)))
    for (model, kind), table in vectors.items():
        for number, start in enumerate(range(0, len(table), shard)):
            put(vectors_path(model, kind, number), kind, model, table.slice(start, shard))
    put(CARD, "card", "", None)
    about = {row["model_id"]: row for row in relations["models"].to_pylist()} if "models" in relations else {}
    entries = [
        ModelEntry(
            model,
            about.get(model, {}).get("weights_sha256"),
            json.loads(about.get(model, {}).get("preprocess") or "null"),
            LAYERS,
            len(vectors.get((model, "images"), ())),
            len(vectors.get((model, "texts"), ())),
            None,
        )
        for model in sorted({model for model, _ in vectors})
    ]
    files.sort(key=lambda file: file.path)
    (folder / MANIFEST).write_text(Manifest("0", version, what, tuple(entries), tuple(files)).to_json())
    return folder


def write_built(folder: Path, built: Built, what: What = "all", version: int = SCHEMA_VERSION) -> Path:
    """Write an index that `built_index.build` made; read with nothing but DuckDB and Lance."""
    with duckdb.connect(str(built.path / "catalog.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        relations = {
            name: connection.execute(f"from {name} order by all").to_arrow_table().cast(relation_schema(name))
            for name in RELATIONS
        }
    vectors: dict[tuple[str, Kind], pa.Table] = {}
    sizes = {(layer, head): HEAD_DIM for layer in LAYERS for head in range(HEADS)}
    kinds: tuple[Kind, ...] = ("images", "texts")
    for model in sorted({model for model, _, _ in built.vectors}) if what != "relations" else ():
        for kind in kinds:
            table = lance.dataset(str(built.path / "vectors" / f"{model.replace('/', '__')}.{kind}.lance")).to_table()
            schema = vectors_schema(kind, EMBED, sizes)  # type: ignore[arg-type]
            columns = [pa.array(table.column(name).to_pylist(), schema.field(name).type) for name in schema.names]
            vectors[model, kind] = pa.table(columns, schema=schema)
    return write(folder, what, relations, vectors, shard=16, group=6, version=version)


def write_large(folder: Path, images: int) -> tuple[Path, list[str], np.ndarray]:
    """Write vectors of 48 heads of 64, as of a ViT-B: the artefact, the ids, and float32 ``[images, 64]`` of L11.H3."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((images, 64), np.float32).astype(np.float16)
    embedding = rng.standard_normal((images, 512), np.float32).astype(np.float16)
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(images)]
    schema = vectors_schema("images", 512, {(layer, head): 64 for layer in range(8, 12) for head in range(12)})

    def column(name: str) -> pa.Array:
        if name == "image_id":
            return pa.array(ids)
        if name == "norm":
            return pa.array(np.ones(images, np.float32))
        # Every head has the same numbers elsewhere: no file format notices.
        matrix = {"embedding": embedding, "l11h3": vectors}.get(name)
        matrix = np.roll(vectors, sum(map(ord, name)), axis=0) if matrix is None else matrix
        return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]).cast(
            schema.field(name).type
        )

    table = pa.table([column(name) for name in schema.names], schema=schema)
    model = {"model_id": "ViT-B/large", "layers": 12, "heads": 12, "head_dim": 64, "width": 768, "embed_dim": 512}
    models = pa.Table.from_pylist([model | {"image_size": 224}], schema=relation_schema("models"))
    write(folder, "vectors", {"models": models}, {("ViT-B/large", "images"): table})
    return folder, ids, vectors.astype(np.float32)


def change_manifest(folder: Path, **fields: Any) -> None:
    """Change what a manifest says."""
    file = folder / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
