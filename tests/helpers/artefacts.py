"""Small indexes made by hand, what they hold, and artefacts with something changed in them."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from support import asking

from clipdb.artefact.export import Options, export_index
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_arrays import vector_column
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import head_name
from clipdb.schema.vectors import images_schema, texts_schema

MODEL = "tiny/one"
EMBED, SIZE, HEADS = 8, 3, 2
TEXTS = ("a red thing", "ein gelbes Ding, größer", "a line\nand another")
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, datetime.UTC)
TABLES = (
    *("models", "heads", "aligners", "images", "image_failures", "pairs", "texts", "pools", "pool_texts"),
    *("spans", "directions", "labels", "label_scores", "judgements", "effects", "runs"),
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def basis(layer: int, head: int) -> np.ndarray:
    """Q of a head, float32 ``[EMBED, SIZE]``."""
    q, _ = np.linalg.qr(np.random.default_rng([layer, head]).normal(size=(EMBED, SIZE)))
    return q.astype(np.float32)


def vector(number: int, layer: int, head: int) -> np.ndarray:
    """y of an image in a head, float64 ``[SIZE]``."""
    return np.random.default_rng([number, layer, head]).normal(size=SIZE) / 4


def unit(number: int) -> np.ndarray:
    values = np.random.default_rng(number).normal(size=EMBED)
    return values / np.linalg.norm(values)


def make(
    path: Path,
    images: Iterable[int] = range(5),
    layers: Iterable[int] = (1, 2),
    turn: np.ndarray | None = None,
    spans: bool = True,
    weights: str = "0" * 64,
) -> Path:
    """Make an index of the same world as any other: an image's vectors depend on its number alone.

    Parameters
    ----------
    turn
        An orthogonal matrix ``[SIZE, SIZE]``: bases are Q turn, as another machine's SVD gives them.
    """
    numbers, heads = list(images), [(layer, head) for layer in layers for head in range(HEADS)]
    turn = np.eye(SIZE) if turn is None else turn
    with Writer(path, "ingest images", {"model": MODEL, "sources": ["/pictures"]}, create=True) as writer:
        sizes = dict.fromkeys(heads, SIZE)
        at = {"model_id": MODEL, "layer": heads[0][0], "head": heads[0][1]}

        def record(connection: duckdb.DuckDBPyConnection) -> None:
            about = {"layers": 4, "heads": HEADS, "head_dim": SIZE, "width": 6, "embed_dim": EMBED, "image_size": 16}
            more = {"patch_size": 4, "pooling": "tok", "adapter": "tests", "preprocess": '{"mean": [0.5], "x": "é"}'}
            measured = {"weights_sha256": weights, "logit_scale": 14.285, "reconstruction_error": 1e-7 * len(numbers)}
            put(connection, "models", [{"model_id": MODEL} | about | more | measured])
            keys = [{"model_id": MODEL, "layer": layer, "head": head} for layer, head in heads]
            turned = {head: basis(*head).astype(np.float64) @ turn for head in heads}
            put(connection, "bases", [
                key | {"size": SIZE, "basis": turned[key["layer"], key["head"]].astype(np.float32).ravel()}
                for key in keys
            ])  # fmt: skip
            statistics = {
                "mean": np.full(SIZE, 0.1 * len(numbers), np.float32),
                "total_variance": 0.3 * len(numbers),
                "effective_rank": 2.5,
            }
            put(connection, "head_statistics", [key | statistics for key in keys])
            put(connection, "images", [image_row(number) for number in numbers])
            ids = sorted(sha(f"image {number}") for number in numbers)
            differ = {"attribute": "colour", "value_a": "red", "value_b": "blue", "run": writer.run}
            put(connection, "pairs", [dict(zip(("image_a", "image_b"), ids, strict=False)) | differ][: len(ids) // 2])

        if numbers:
            VectorTable(writer, MODEL, "images").commit(image_vectors(numbers, heads, turn), record)
        texts = [{"text_id": sha(text), "text": text} for text in TEXTS]

        def record_texts(connection: duckdb.DuckDBPyConnection) -> None:
            put(connection, "texts", texts)
            put(
                connection, "pools", [{"pool": "p'; drop table images; --", "name": None, "source": "", "licence": "?"}]
            )
            members = [{"pool": "mine", "text_id": one["text_id"], "position": n} for n, one in enumerate(texts)]
            put(connection, "pools", [{"pool": "mine", "name": "Mine", "source": None, "licence": None}])
            put(connection, "pool_texts", [one | {"property": None} for one in members])
            if spans:
                put(connection, "spans", [span_row(h, rank, writer.run) for h in heads for rank in (1, 2)])
                put(connection, "effects", [effect_row(writer.run, head_name(*heads[0]))])
                put(connection, "directions", [direction_row(h, writer.run) for h in heads])
            put(connection, "labels", [label_row(writer.run) | at])
            put(connection, "label_scores", [score_row(writer.run) | at])
            put(connection, "judgements", [judgement_row(writer.run) | at])
            failure = {"uri": f"/broken/{numbers[0] if numbers else 0}", "error": "no picture", "run": writer.run}
            put(connection, "image_failures", [failure])

        columns = {"text_id": pa.array([one["text_id"] for one in texts])}
        columns["embedding"] = vector_column(np.stack([unit(1000 + n) for n in range(len(texts))]), np.float32)
        for layer, head in heads:
            q = basis(layer, head).astype(np.float64) @ turn
            columns[f"l{layer}h{head}"] = vector_column(np.stack([unit(1000 + n) @ q for n in range(len(texts))]))
        schema = texts_schema(EMBED, sizes)
        table = pa.table(columns).cast(pa.schema([schema.field(name) for name in columns]))
        VectorTable(writer, MODEL, "texts").commit(table, record_texts)
        writer.added = len(numbers)
    return path


def image_vectors(numbers: list[int], heads: list[tuple[int, int]], turn: np.ndarray) -> pa.Table:
    columns = {
        "image_id": pa.array([sha(f"image {n}") for n in numbers]),
        "embedding": vector_column(np.stack([unit(n) for n in numbers])),
        "norm": pa.array([1.0 + n / 7 for n in numbers], pa.float32()),
    }
    for layer, head in heads:
        columns[f"l{layer}h{head}"] = vector_column(np.stack([turn.T @ vector(n, layer, head) for n in numbers]))
    schema = images_schema(EMBED, dict.fromkeys(heads, SIZE))
    return pa.table(columns).cast(pa.schema([schema.field(name) for name in columns]))


def image_row(number: int) -> dict[str, Any]:
    return {
        "image_id": sha(f"image {number}"),
        "uri": f"/pictures/{number} ünï\n.jpg",
        "width": 10 + number,
        "height": 20,
        "format": "JPEG",
        "split": None,
        "label": "odd" if number % 2 else None,
        "metadata": json.dumps({"n": number, "s": "ä"}) if number % 3 else None,
    }


def span_row(head: tuple[int, int], rank: int, run: str) -> dict[str, Any]:
    text = TEXTS[rank - 1]
    place = {"model_id": MODEL, "layer": head[0], "head": head[1], "pool": "mine", "rank": rank}
    shares = {"variance_explained": 0.1 / rank, "cumulative_variance": 0.15}
    return place | {"text_id": sha(text), "text": text} | shares | {"run": run}


def direction_row(head: tuple[int, int], run: str) -> dict[str, Any]:
    place = {"model_id": MODEL, "layer": head[0], "head": head[1], "source": "weights", "pool": "mine", "direction": 1}
    ends = {
        "texts": '[{"text": "a \\"red\\" thing", "weight": 0.5}]',
        "fit": 0.7,
        "opposite": "[]",
        "opposite_fit": 0.0,
    }
    return place | ends | {"share": 0.25, "vector": unit(head[0]).astype(np.float32), "stability": None, "run": run}


def label_row(run: str) -> dict[str, Any]:
    said = {"property": "colour", "confidence": 0.75, "rationale": 'it said "red"\n', "status": "ok", "error": None}
    hashes = {"prompt_sha256": None, "examples_sha256": "ab" * 32}
    return {"pool": "mine", "labeller": "human:Åse", "run": run, "created_at": NOW} | said | hashes


def score_row(run: str) -> dict[str, Any]:
    about = {"pool": "mine", "labeller": "human:Åse", "run": run, "property": "colour"}
    return about | {"share": -0.25, "chance": None}


def judgement_row(run: str) -> dict[str, Any]:
    about = {"text_id": sha(TEXTS[0]), "property": "colour", "judge": "vote", "run": run}
    return about | {"verdict": None, "status": "ok", "error": None, "prompt_sha256": None}


def effect_row(run: str, head: str) -> dict[str, Any]:
    task = {"target": "label", "template": "a photo of a {}", "mode": "mean", "mean": "token", "tokens": "all"}
    found = {"images": 5, "before": 1.0, "direct": 0.5, "causal": 0.75, "causal_low": 0.5, "causal_high": 0.9}
    differs = {"difference": 0.25, "difference_low": -0.1, "difference_high": 0.5}
    drawn = dict.fromkeys(("control_direct", "control_causal", "control_low", "control_high"))
    about = {"model_id": MODEL, "ablated": head, "part": "all", "class_name": "", "property": None}
    ends = {"controls": 0, "seed": 0, "images_sha256": sha("images"), "run": run}
    return about | task | found | differs | drawn | ends


def export(index: Path, directory: Path, **options: Any) -> Path:
    export_index(index, directory, Options(**options))
    return directory


def contents(index: Path) -> dict[str, Any]:
    """Read all that an index says, by DuckDB and Lance alone, but for what an import notes of itself."""
    held: dict[str, Any] = {}
    with asking(index) as connection:
        for name in TABLES:
            where = "where command <> 'import artefact'" if name == "runs" else ""
            held[name] = connection.execute(f"from {name} {where} order by all").fetchall()
        held["comments"] = connection.execute(
            "select table_name, column_name, data_type, comment from duckdb_columns() "
            "where database_name = current_database() order by all"
        ).fetchall()
        versions = "select model_id, kind, max(lance_version) from batches group by all order by all"
        tables = connection.execute(versions).fetchall()
    for model, kind, version in tables:
        path = index / "vectors" / f"{model.replace('/', '__')}.{kind}.lance"
        stored = lance.dataset(str(path), version=version).to_table()
        held[f"{model} {kind}"] = {
            "schema": stored.drop_columns(["_run", "_batch"]).schema,
            "rows": {row[f"{kind[:-1]}_id"]: cells(row) for row in stored.to_pylist()},
        }
    return held


def cells(row: dict[str, Any]) -> dict[str, Any]:
    """Give numbers as bytes, so that each bit counts."""
    kept = {name: value for name, value in row.items() if not name.startswith("_")}
    return {name: np.array(v).tobytes() if isinstance(v, list) else v for name, v in kept.items()}


def files(directory: Path) -> dict[str, bytes]:
    """Read every file of a directory."""
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


def resign(directory: Path, change: Callable[[dict[str, Any]], object] = lambda manifest: None) -> None:
    """Make the manifest agree with files that were changed, as someone does who means harm."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    for file in manifest["files"]:
        one = directory / file["path"]
        content = one.read_bytes()
        file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change(manifest)
    path.write_text(json.dumps(manifest))


def edit(directory: Path, path: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the rows of a Parquet file and sign it anew."""
    table = change(pq.read_table(directory / path))
    pq.write_table(table, directory / path, compression="zstd")

    def count(manifest: dict[str, Any]) -> None:
        for file in manifest["files"]:
            if file["path"] == path:
                for model in manifest["models"]:
                    if model["model_id"] == file["name"]:
                        model[file["kind"]] += len(table) - file["rows"]
                file["rows"] = len(table)

    resign(directory, count)


def with_cell(table: pa.Table, column: str, value: Any, row: int = 0) -> pa.Table:
    """Put a value into one row of a column."""
    field = table.schema.field(column)
    values = table.column(column).to_pylist()
    values[row] = value
    kind = field.type.storage_type if isinstance(field.type, pa.BaseExtensionType) else field.type
    array = pa.array(values, kind)
    if kind != field.type:
        array = pa.ExtensionArray.from_storage(field.type, array)
    return table.set_column(table.schema.get_field_index(column), field.with_nullable(True), array)
