"""Whatever an index holds, an artefact carries it: values, nulls and bits that nobody would think of."""

from __future__ import annotations

import datetime
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from artefacts import contents, export, files, sha
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import done

from clipdb.artefact.merge import import_artefact
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.vector_arrays import vector_column
from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer
from clipdb.schema import creation
from clipdb.schema.names import head_column
from clipdb.schema.vectors import images_schema, texts_schema

EMBED = 4
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
MAYBE = st.none() | TEXT
JSONS = st.none() | st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-5, 5) | TEXT, max_size=3).map(
    json.dumps
)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.none() | st.floats(0, 1)
COUNT = st.none() | st.integers(0, 2**62)
WHEN = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1), timezones=st.just(datetime.UTC))
HALF = st.integers(0, 2**16 - 1).map(lambda bits: np.uint16(bits).view(np.float16)).filter(np.isfinite)
STATUS = st.sampled_from(["ok", "rejected", "error"])


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.clipdb"
    creation.create(path)
    return path


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_anything_comes_back(empty: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("example")
    index, other = (Path(shutil.copytree(empty, folder / name)) for name in ("index.clipdb", "other.clipdb"))
    fill(index, data.draw)
    exported = export(index, folder / "exported")
    import_artefact(other, exported)
    assert contents(other) == contents(index)
    assert files(export(other, folder / "again")) == files(exported)
    assert "rows added 0" in done("import", exported, "-i", other)
    shutil.rmtree(folder)


def fill(index: Path, draw: Callable[[st.SearchStrategy], Any]) -> None:
    models = draw(st.lists(st.sampled_from(["a/b", "b/a", "x-1.y/z_w"]), min_size=1, max_size=2, unique=True))
    images = [sha(f"image {n}") for n in draw(st.permutations(range(draw(st.integers(0, 5)))))]
    texts = draw(st.lists(TEXT, max_size=4, unique=True))
    with Writer(index, "ingest images", {"sources": draw(st.lists(TEXT, max_size=2))}) as writer:
        with writer.transaction() as connection:
            facts = {"width": st.integers(1, 2**31 - 1), "format": MAYBE, "split": MAYBE, "label": MAYBE}
            made = {"uri": TEXT.filter(bool), "height": st.none() | st.integers(1, 9), "metadata": JSONS}
            every(connection, draw, "images", [{"image_id": one} for one in images], facts | made)
            every(connection, draw, "texts", [{"text_id": sha(text), "text": text} for text in texts], {})
            uris = [{"uri": uri} for uri in draw(st.lists(TEXT, max_size=2, unique=True))]
            every(connection, draw, "image_failures", uris, {"error": TEXT, "run": st.just(writer.run)})
            pools = [{"pool": pool} for pool in draw(st.lists(TEXT, max_size=2, unique=True))]
            every(connection, draw, "pools", pools, {"name": MAYBE, "source": MAYBE, "licence": MAYBE})
            members = [pool | {"text_id": sha(text)} for pool, text in itertools.product(pools, texts)]
            every(connection, draw, "pool_texts", members, {"position": st.integers(0, 9), "property": MAYBE})
            runs = [{"run": run} for run in draw(st.lists(TEXT, max_size=2, unique=True))]
            counts = {"added": COUNT, "skipped": COUNT, "failed": COUNT, "arguments": JSONS, "versions": JSONS}
            said = {"command": TEXT, "device": MAYBE, "started_at": WHEN, "finished_at": st.none() | WHEN}
            every(connection, draw, "runs", runs, counts | said)
        for model in models:
            size = draw(st.integers(1, 3))
            heads = draw(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=3, unique=True))
            describe(writer, draw, model, size, heads, texts)
            store(writer, draw, model, "images", images, dict.fromkeys(heads, size))
            store(writer, draw, model, "texts", [sha(text) for text in texts], dict.fromkeys(heads, size))


def every(
    connection: duckdb.DuckDBPyConnection,
    draw: Callable[[st.SearchStrategy], Any],
    table: str,
    keys: list[dict[str, Any]],
    columns: dict[str, st.SearchStrategy],
) -> None:
    """Put rows of drawn values."""
    put(connection, table, [key | {name: draw(values) for name, values in columns.items()} for key in keys])


def describe(
    writer: Writer, draw: Callable[[st.SearchStrategy], Any], model: str, size: int, heads: list, texts: list[str]
) -> None:
    sizes = {"layers": 12, "heads": 12, "head_dim": size, "width": 1, "embed_dim": EMBED, "image_size": 1}
    of_model = [{"model_id": model} | sizes]
    of_head = [{"model_id": model, "layer": layer, "head": head} for layer, head in heads]
    hashes = st.none() | TEXT.map(sha)
    identity = np.eye(EMBED, size, dtype=np.float32).ravel()
    means = st.none() | st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=size, max_size=size
    )
    place = {"pool": TEXT, "run": TEXT, "error": MAYBE, "prompt_sha256": MAYBE, "status": STATUS}
    with writer.transaction() as connection:
        numbers = {"patch_size": st.none() | st.integers(1, 9), "logit_scale": NUMBER, "reconstruction_error": NUMBER}
        texted = {"pooling": MAYBE, "adapter": MAYBE, "preprocess": JSONS, "weights_sha256": hashes}
        every(connection, draw, "models", of_model, numbers | texted)
        statistics = {"mean": means, "total_variance": NUMBER, "effective_rank": NUMBER}
        every(connection, draw, "head_statistics", of_head, statistics)
        every(connection, draw, "bases", of_head, {"basis": st.just(identity), "rank": st.just(size)})
        picked = [
            one | {"rank": n + 1, "text_id": sha(text), "text": text} for one in of_head for n, text in enumerate(texts)
        ]
        shares = {"variance_explained": SHARE, "cumulative_variance": SHARE}
        every(connection, draw, "spans", picked, shares | {"pool": st.just("a pool"), "run": TEXT})
        labels = {
            "property": MAYBE,
            "confidence": SHARE,
            "rationale": MAYBE,
            "examples_sha256": MAYBE,
            "created_at": WHEN,
        }
        every(connection, draw, "labels", of_head, place | labels | {"labeller": TEXT})
        numbers = {"share": st.floats(max_value=1, allow_infinity=False, allow_nan=False), "chance": NUMBER}
        scored = {"pool": TEXT, "labeller": TEXT, "run": TEXT, "property": TEXT}
        every(connection, draw, "label_scores", of_head, scored | numbers)
        judged = [one | {"text_id": sha(text)} for one in of_head for text in texts]
        verdicts = {"property": TEXT, "judge": TEXT, "verdict": st.none() | st.booleans()}
        every(connection, draw, "judgements", judged, {k: v for k, v in place.items() if k != "pool"} | verdicts)


def store(
    writer: Writer, draw: Callable[[st.SearchStrategy], Any], model: str, kind: str, ids: list[str], sizes: dict
) -> None:
    """Append vectors in one or two commits; any of a head's may be null."""
    schema = {"images": images_schema, "texts": texts_schema}[kind](EMBED, sizes)
    table = VectorTable(writer, model, kind)
    at = draw(st.integers(0, len(ids)))
    for some in (one for one in (ids[:at], ids[at:]) if one):
        columns: dict[str, pa.Array] = {f"{kind[:-1]}_id": pa.array(some)}
        units = np.stack([np.roll([1, 0, -0.0, 1e-7], draw(st.integers(0, 3))) for _ in some])
        columns["embedding"] = vector_column(units, np.float32 if kind == "texts" else np.float16)
        if kind == "images":
            columns["norm"] = pa.array([draw(st.floats(2**-20, 2**20, width=32)) for _ in some], pa.float32())
        for (layer, head), size in sorted(sizes.items()):
            cells = [draw(st.none() | st.lists(HALF, min_size=size, max_size=size)) for _ in some]
            columns[head_column(layer, head)] = pa.array(cells, pa.list_(pa.float16(), size))
        rows = pa.table(columns).cast(pa.schema([schema.field(name) for name in columns]))
        table.commit(rows, lambda connection: None)
