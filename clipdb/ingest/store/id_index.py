"""The index of a vector table's ids: each compaction adds a segment for what is new, and few merge them all."""

from __future__ import annotations

import lance

_MOST_SEGMENTS = 16  # a lookup asks each


def index_ids(dataset: lance.LanceDataset, key: str) -> None:
    """Take rows that are new into the index of a column of ids.

    If the index were made anew each time, a long ingest would take the square of its rows.
    """
    name = f"{key}_idx"
    if name not in {one.name for one in dataset.describe_indices()}:
        dataset.create_scalar_index(key, "BTREE", name=name)
        return
    found = dataset.stats.index_stats(name)
    segments = int(found["num_indices"])
    if found["num_unindexed_rows"]:
        merged = segments if segments >= _MOST_SEGMENTS else 0
        dataset.optimize.optimize_indices(index_names=[name], num_indices_to_merge=merged)
