"""Classes for a synthetic index: labels of its images, and their texts with vectors of noise."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from clipdb.schema import catalog
from clipdb.schema.vectors import texts_path, texts_schema
from queries import EMBED, MODEL, RUN

TEMPLATE = "a photo of a {}"


def add_classes(index: Path, classes: int) -> list[str]:
    """Label the images with so many classes in turn, and store the classes' texts; return these."""
    texts = [TEMPLATE.replace("{}", f"class {number}") for number in range(classes)]
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    vectors = np.random.default_rng(1).standard_normal((classes, EMBED)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pa.table(
        {
            "text_id": keys,
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), EMBED),
            "_run": [RUN] * classes,
            "_batch": pa.array([0] * classes, pa.int32()),
        },
        schema=texts_schema(EMBED, {}),
    )
    version = lance.write_dataset(table, str(texts_path(index, MODEL))).version
    with catalog.changing(index) as connection:
        connection.execute("update images set label = 'class ' || rowid % ?", [classes])
        connection.executemany("insert into texts values (?, ?)", list(zip(keys, texts, strict=True)))
        connection.execute(
            "insert into batches values (?, 'texts', ?, 0, ?, ?, ?)",
            [MODEL, RUN, version, classes, datetime.datetime.now(datetime.UTC)],
        )
    return texts
