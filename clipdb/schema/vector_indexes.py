"""Vector indexes of heads: Lance makes them, one a column of images; its table says what clipdb measured of each.

The description is in the configuration of the Lance table, so that it comes and goes with the version that has the
index: a catalog that vouches for that version vouches for both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from clipdb.schema.names import Head
from clipdb.schema.vectors import head_columns

if TYPE_CHECKING:
    import lance

TYPES = {"ivf_flat": "IVF_FLAT", "ivf_rq": "IVF_RQ"}
"""Type by how people write it, as Lance writes it."""

AT = 10
"""Recall is measured at so many neighbours."""

_KEY = "clipdb.vector_index."
_REFINE = 10  # so many times as many candidates as are asked for are compared by their stored vectors
_MARGIN = 10  # candidates more than are asked for: Lance compares in float16, which may swap the last ones


@dataclass(frozen=True)
class VectorIndex:
    """A vector index of a head, by cosine.

    Attributes
    ----------
    type
        One of `TYPES`.
    partitions
        Of the vectors, by k-means.
    nprobes
        How many partitions are searched for an image.
    recall
        Share of the ten nearest images that are found so, on average over stored images that were asked about.
    text_nprobes, text_recall
        The same of texts, which lie apart from the images; None where the model has no vectors of texts.
    run
        Run that made it (``runs.run``).
    """

    type: str
    partitions: int
    nprobes: int
    recall: float
    text_nprobes: int | None
    text_recall: float | None
    run: str


def index_name(column: str) -> str:
    """Name the index of a column in Lance."""
    return f"{column}_vectors"


def described(index: VectorIndex, column: str) -> dict[str, str | None]:
    """Return what to add to the configuration of the Lance table."""
    return {_KEY + column: json.dumps(asdict(index))}


def config_key(column: str) -> str:
    """Return the key under which the configuration describes the index of a column."""
    return _KEY + column


def vector_indexes(table: lance.LanceDataset) -> dict[Head, tuple[VectorIndex, int]]:
    """Find the vector indexes of a Lance table, with how many rows each covers, by head."""
    config: Mapping[str, str] = table.config()
    if not any(key.startswith(_KEY) for key in config):
        return {}
    covered = {one.name: one.num_rows_indexed for one in table.describe_indices()}
    return {
        head: (VectorIndex(**json.loads(config[_KEY + column])), covered[index_name(column)])
        for head, column in head_columns(table.schema).items()
        if _KEY + column in config and index_name(column) in covered  # a table that was written anew has lost it
    }


def candidates(
    table: lance.LanceDataset,
    column: str,
    index: VectorIndex,
    query: np.ndarray,
    k: int,
    nprobes: int,
    others: Sequence[str] = (),
) -> pa.Table:
    """Find the rows that an index holds for nearest, and among those newer than the index the nearest there are.

    Parameters
    ----------
    table
        The Lance table.
    column
        The head's column.
    index
        Its index.
    query
        A vector ``[k]`` that isn't zero.
    k
        How many to find.
    nprobes
        How many partitions to search.
    others
        More columns to return.

    Returns
    -------
    pyarrow.Table
        The column and the others, a few rows more than k.
    """
    nearest: dict[str, Any] = {
        "column": column,
        # Its length doesn't matter, but the float16 that Lance makes of it has to hold it.
        "q": (query / np.linalg.norm(query)).astype(np.float32),
        "k": k + _MARGIN,
        "nprobes": nprobes,
        "metric": "cosine",
    }
    if index.type != "ivf_flat":
        nearest["refine_factor"] = _REFINE
    return table.scanner(columns=[column, *others], nearest=nearest, disable_scoring_autoprojection=True).to_table()
