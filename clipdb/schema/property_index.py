"""Vector indexes of several heads together, as `property-neighbours` compares images in them.

An image is the sum over the heads of Q (y - mean) in the joint space, divided by its length. Such an index cuts the
images into parts by k-means. Of each it keeps its row in the table and how it lies about its part's centre: two bits
for each number (`clipdb.schema.image_codes`), and two factors that make an estimate of a cosine of them. The images
with the highest estimates are then compared by their stored vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipdb.schema.image_codes import code_bytes, products
from clipdb.schema.names import Head, head_name, parse_head

ROW_COLUMNS = ["image_id", "_run"]
"""What tells whether rows of a table are those that were indexed."""

PROPERTY_HEADS = """
select string_agg(name, ',' order by layer, head) as heads, property_key
from head_properties where model_id = ? group by property_key, layer < 0
"""
"""SQL for the heads that are compared together where a property of a model is asked for."""

_STORED = """
select heads, images, rows_sha256, partitions, nprobes, compared, recall, run
from property_indexes where model_id = ? order by heads
"""


@dataclass(frozen=True)
class PropertyIndex:
    """A vector index of several heads together.

    Attributes
    ----------
    heads
        The heads that it is over, in order of layer, then head.
    images
        How many rows of the table it covers, from the first on.
    rows_sha256
        Which images those were, see `rows_sha256`.
    partitions
        How many parts the images are cut into.
    nprobes
        How many of them are searched.
    compared
        How many images are compared by their vectors, for each that is asked for.
    recall
        Share of the ten nearest images that are found so, on average over stored images that were asked about.
    run
        Run that made it (``runs.run``).
    """

    heads: tuple[Head, ...]
    images: int
    rows_sha256: str
    partitions: int
    nprobes: int
    compared: int
    recall: float
    run: str

    @property
    def name(self) -> str:
        """Its heads' names, with commas."""
        return ",".join(head_name(*head) for head in self.heads)


@dataclass(frozen=True)
class Part:
    """Images that lie together.

    Attributes
    ----------
    centre
        Their centre by k-means, turned: float32 ``[embed_dim]``.
    rows
        Their rows in the table, uint32 ``[m]``.
    codes
        How each lies about the centre: two bits for each number, uint8 ``[m, embed_dim / 4]``.
    scales, offsets
        What makes an estimate of a cosine of these, float32 ``[m]`` each.
    """

    centre: np.ndarray
    rows: np.ndarray
    codes: np.ndarray
    scales: np.ndarray
    offsets: np.ndarray

    def columns(self) -> dict[str, Any]:
        """Return it as the columns of ``property_index_parts``."""
        blobs = {name: getattr(self, name).tobytes() for name in ("rows", "codes", "scales", "offsets")}
        return {"centre": self.centre} | blobs

    @classmethod
    def stored(cls, centre: Sequence[float], rows: bytes, codes: bytes, scales: bytes, offsets: bytes) -> Self:
        """Read one from the columns of ``property_index_parts``."""
        numbers = np.frombuffer(rows, np.uint32)
        bits = np.frombuffer(codes, np.uint8).reshape(len(numbers), code_bytes(len(centre)))
        factors = (np.frombuffer(one, np.float32) for one in (scales, offsets))
        return cls(np.asarray(centre, np.float32), numbers, bits, *factors)

    def estimates(self, query: np.ndarray) -> np.ndarray:
        """Estimate the cosines of the images with a turned unit vector ``[embed_dim]``: float32 ``[m]``."""
        rest = self.scales * products(self.codes, query - self.centre)
        estimated: np.ndarray = rest + self.offsets + query @ self.centre
        return estimated


Parts = Callable[[list[int]], Sequence[Part]]
"""Gives parts by their numbers."""


def property_indexes(read: Callable[..., Sequence[tuple[Any, ...]]], model_id: str) -> list[PropertyIndex]:
    """Find the vector indexes of several heads of a model together.

    Parameters
    ----------
    read
        Runs SQL with parameters on the catalog.
    model_id
        The model.
    """
    return [PropertyIndex(tuple(map(parse_head, heads.split(","))), *rest) for heads, *rest in read(_STORED, model_id)]


def nearest_parts(centres: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the parts ``[P]`` in order of their centres' distance to a turned unit vector, the nearest first."""
    return np.argsort((centres**2).sum(axis=1) - 2 * (centres @ query), kind="stable")


def candidates(
    index: PropertyIndex,
    centres: np.ndarray,
    query: np.ndarray,
    k: int,
    parts: Parts,
) -> np.ndarray:
    """Find the rows of the table that are to be compared, of those that an index covers.

    Parameters
    ----------
    index
        The index.
    centres
        Of all its parts ``[P, embed_dim]``.
    query
        A turned unit vector ``[embed_dim]``.
    k
        How many images are asked for.
    parts
        Its parts.

    Returns
    -------
    numpy.ndarray
        Rows, ascending: ``k * compared`` of them, or all of the parts that are searched; k at least, if there are.
    """
    order = nearest_parts(centres, query).tolist()
    searched = list(parts(order[: index.nprobes]))
    while sum(len(part.rows) for part in searched) < k and len(searched) < len(order):
        searched += parts(order[len(searched) : 2 * len(searched)])
    rows = np.concatenate([part.rows for part in searched]).astype(np.intp)
    wanted = k * index.compared
    if len(rows) > wanted:
        estimates = np.concatenate([part.estimates(query) for part in searched])
        rows = rows[np.argpartition(-estimates, wanted)[:wanted]]
    return np.sort(rows)


def rows_sha256(batches: Iterable[pa.RecordBatch], count: int) -> str:
    """Return a hash of which images the first rows of a table are of, and which runs wrote them.

    Parameters
    ----------
    batches
        `ROW_COLUMNS` of the table, in its order.
    count
        How many rows.
    """
    found, left = hashlib.sha256(), count
    for batch in batches:
        some = batch.slice(0, left)
        left -= len(some)
        lines = pc.binary_join_element_wise(*some.columns, "", "\n", null_handling="replace")
        found.update(pc.binary_join(pa.ListArray.from_arrays([0, len(lines)], lines), "")[0].as_buffer())
        if not left:
            break
    return found.hexdigest()
