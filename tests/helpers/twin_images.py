"""Images that an index gets later, with vectors that one of its images has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from clipdb.ingest.store.vector_table import VectorTable
from clipdb.ingest.store.writer import Writer


def add_twins(
    path: Path, model: str, row: int, ids: Sequence[str], *, merge: bool = False, compact: bool = False
) -> None:
    """Add images with the vectors of a row of the table; or give them to images that are there (merge)."""
    with Writer(path, "ingest images", {}) as writer:
        table = VectorTable(writer, model, "images")
        assert table.dataset is not None
        one = table.dataset.take([row]).drop_columns(["_run", "_batch", "image_id"])
        rows = pa.concat_tables([one] * len(ids)).add_column(0, "image_id", pa.array(ids))
        table.commit(rows, lambda connection: None, merge=merge)
        if compact:
            table.compact()
