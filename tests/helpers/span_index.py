"""An index with spans and nothing else: neither images nor vectors nor a model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import text_id

MODEL = "Small/none"
HEADS = ["L10.H0", "L10.H1", "L10.H2", "L10.H3", "L11.H0", "L11.H1"]
POOL = {
    "a red door": "colour",
    "a blue sail": "colour",
    "a grey wolf": "animals",
    "two herons": "animals",
    "snow on a fence": "season",
    "a field in June": "Season ",
    "a kettle": None,
}


def span_index(
    index: Path, heads: int = 6, pool: dict[str, str | None] | None = None, models: Sequence[str] = (MODEL,)
) -> Path:
    """Make an index whose heads have all texts of a pool as spans, each head in an order of its own.

    Heads are those of `HEADS`, and so on.
    """
    texts = list((pool or POOL).items())
    places = [(10 + head // 4, head % 4) for head in range(heads)]
    with Writer(index, "test", {}, create=True) as writer, writer.transaction() as connection:
        put(connection, "texts", [{"text_id": text_id(text), "text": text} for text, _ in texts])
        put(connection, "pools", [{"pool": "plain", "name": "Plain"}])
        members = [
            {"pool": "plain", "text_id": text_id(text), "position": place, "property": tag}
            for place, (text, tag) in enumerate(texts)
        ]
        put(connection, "pool_texts", members)
        for model_id in models:
            keys = [{"model_id": model_id, "layer": layer, "head": head} for layer, head in places]
            put(connection, "head_statistics", keys)
            spans = []
            for first, key in enumerate(keys):
                turned = texts[first % len(texts) :] + texts[: first % len(texts)]
                for rank, (text, _) in enumerate(turned, start=1):
                    explained = {"variance_explained": 0.3 / rank, "cumulative_variance": 0.3}
                    span = {"pool": "plain", "rank": rank, "text_id": text_id(text), "text": text, "run": writer.run}
                    spans.append(key | span | explained)
            put(connection, "spans", spans)
    return index
