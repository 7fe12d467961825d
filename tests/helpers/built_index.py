"""A small index, built by hand through the schema: real DuckDB and Lance files, vectors from a seed."""

from __future__ import annotations

import datetime
import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import lance
import numpy as np
import pyarrow as pa
from click.testing import Result

from clipdb.schema import catalog, creation
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_path, images_schema, texts_path, texts_schema

EMBED, HEAD_DIM = 8, 4
LAYERS, HEADS = (1, 2), 3
RUN = "20260101T000000000000-0000"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

PROPERTIES = {
    ("one/a", 1, 0): "colour",
    ("one/a", 1, 1): "Colour.",
    ("one/a", 1, 2): "shape",
    ("one/a", 2, 0): "colour",
    ("one/a", 2, 1): "counting",
}
"""Current properties of `one/a`; L2.H2 has no label."""

SPANS = ("a red, round thing", "a blue thing", "colourful paper", "a grey wall", "two apples")


Rows = defaultdict[str, list[tuple[object, ...]]]
"""Rows of each table."""

Run = Callable[..., Result]
"""Runs the command line: what the fixture `run` of tests/cli gives."""


@dataclass
class Built:
    """An index and the float64 truth of what is in it."""

    path: Path
    ids: list[str]
    vectors: dict[tuple[str, int, int], np.ndarray] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lists(values: np.ndarray, kind: pa.DataType, null: np.ndarray | None = None) -> pa.Array:
    cells = [None if null is not None and null[row] else one for row, one in enumerate(values)]
    return pa.array(cells, kind)


def numbered(number: int) -> bytes:
    """Give the bytes of a file that is no picture."""
    return f"image {number}".encode()


def build(
    path: Path,
    models: tuple[str, ...] = ("one/a",),
    images: int = 40,
    seed: int = 0,
    content: Callable[[int], bytes] = numbered,
) -> Built:
    """Build an index. The last two images of each model have no vectors of layer 1, as before a layer was added."""
    creation.create(path)
    rng = np.random.default_rng(seed)
    folder = path.parent / "files"
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number}.png" for number in range(images)]
    for number, file in enumerate(files):
        file.write_bytes(content(number))
    built = Built(path, [hashlib.sha256(file.read_bytes()).hexdigest() for file in files], files=files)
    rows: Rows = defaultdict(list)
    with catalog.changing(path) as connection:
        for n, one in enumerate(built.ids):
            side = "even" if n % 2 == 0 else "odd"
            rows["images"].append((one, str(files[n]), 4, 4, "PNG", "test", side, f'{{"n": {n}}}'))
        rows["pools"].append(("general", "General", "tests", "none"))
        for position, text in enumerate(SPANS):
            rows["texts"].append((sha(text), text))
            rows["pool_texts"].append(("general", sha(text), position, None))
        for model in models:
            _add_model(rows, built, model, rng)
        for table, values in rows.items():
            insert(connection, table, values)
    return built


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[object, ...]]) -> None:
    """Insert rows in one statement, which takes a tenth of the time of one each; columns past their last are null."""
    described = connection.execute(f"describe {table}").fetchmany(len(rows[0]))
    columns = ", ".join(name for name, *_ in described)
    marks = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
    connection.execute(f"insert into {table} ({columns}) values {marks}", [value for row in rows for value in row])


def _add_model(rows: Rows, built: Built, model: str, rng: np.random.Generator) -> None:
    sized = (3, 3, 4, 12, 8, 16, 64)
    rows["models"].append((model, *sized, "tok", "class_token", "{}", "0" * 64, 100.0, 1e-7))
    sizes = {(layer, head): HEAD_DIM for layer in LAYERS for head in range(HEADS)}
    n = len(built.ids)
    embedding = rng.normal(size=(n, EMBED))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    schema = images_schema(EMBED, sizes)
    columns = {
        "image_id": pa.array(built.ids),
        "embedding": _lists(embedding.astype(np.float16), schema.field("embedding").type),
        "norm": pa.array(np.full(n, 10.0, np.float32)),
        "_run": pa.array([RUN] * n),
        "_batch": pa.array([0] * n, pa.int32()),
    }
    texts = {
        "text_id": pa.array([sha(text) for text in SPANS]),
        "embedding": _lists(embedding[: len(SPANS)].astype(np.float32), pa.list_(pa.float32(), EMBED)),
        "_run": pa.array([RUN] * len(SPANS)),
        "_batch": pa.array([0] * len(SPANS), pa.int32()),
    }
    for layer, head in sizes:
        values = rng.normal(size=(n, HEAD_DIM)).astype(np.float16)
        null = np.zeros(n, bool)
        if layer == 1:
            null[-2:] = True
        column, kind = head_column(layer, head), pa.list_(pa.float16(), HEAD_DIM)
        columns[column] = _lists(values, kind, null)
        texts[column] = _lists(values[: len(SPANS)], kind)
        truth = values.astype(np.float64)
        truth[null] = np.nan
        built.vectors[model, layer, head] = truth
        basis, _ = np.linalg.qr(rng.normal(size=(EMBED, HEAD_DIM)))
        rows["bases"].append((model, layer, head, basis.ravel().tolist(), HEAD_DIM))
        rows["head_statistics"].append((model, layer, head, [0.0] * HEAD_DIM, 4.0, 3.5))
        _add_spans(rows, model, layer, head)
        name = PROPERTIES.get((model, layer, head)) or ("texture" if model != "one/a" else None)
        if name is not None:
            given = (model, layer, head, "general", "vote", RUN, name, 0.75)
            rows["labels"].append((*given, None, None, None, "ok", None, NOW))
            rows["label_scores"].append((*given, 0.01))
    for kind, path, table in (
        ("images", images_path(built.path, model), pa.table(columns, schema=schema)),
        ("texts", texts_path(built.path, model), pa.table(texts, schema=texts_schema(EMBED, sizes))),
    ):
        version = lance.write_dataset(table, str(path)).version
        rows["batches"].append((model, kind, RUN, 0, version, len(table), NOW))


def _add_spans(rows: Rows, model: str, layer: int, head: int) -> None:
    shift = (layer + head) % len(SPANS)
    total = 0.0
    for rank in range(1, len(SPANS) + 1):
        text, share = SPANS[(rank - 1 + shift) % len(SPANS)], 0.3 / rank
        total += share
        rows["spans"].append((model, layer, head, "general", rank, sha(text), text, share, total, RUN))
        name = PROPERTIES.get((model, layer, head))
        if name is not None:
            fits = (name.lower().startswith("colour")) == ("colour" in text or "red" in text or "blue" in text)
            rows["judgements"].append((model, layer, head, sha(text), name, "vote", RUN, fits, "ok", None, None))
