"""`clipdb.index_vectors`: vector indexes of heads, for neighbours among millions of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clipdb.api.progress import Shown, stage_progress
from clipdb.errors import require

if TYPE_CHECKING:
    from clipdb.schema.property_index import PropertyIndex
    from clipdb.schema.vector_indexes import VectorIndex


def index_vectors(
    index: str | Path,
    heads: str,
    *,
    model: str | None = None,
    type: str = "ivf_flat",
    partitions: int | None = None,
    progress: Shown = True,
) -> dict[str, VectorIndex | PropertyIndex]:
    """Make vector indexes of heads and properties, by which neighbours are found among many images.

    The heads of a property get one more index together, by which `property_neighbours` finds images alike in it.

    Which images are found is then approximate; their scores are exact. How many of the ten nearest are found is
    measured over stored images and texts, and so many partitions are searched that at least 99 percent are, if any
    number of them does. Images that come later are searched one by one until an ingest has come to its end.

    Parameters
    ----------
    index
        Directory of the index.
    heads
        ``L11.H3`` or several with commas, ``property=colour`` for the heads of that name, or ``all``.
    model
        The model; not needed where there is one.
    type
        ``ivf_flat``, which keeps the vectors as they are, or ``ivf_rq``, which keeps a bit for each number (RaBitQ)
        and compares the best candidates by the stored vectors.
    partitions
        How many parts k-means cuts the vectors into. Default: a quarter of the square root of the number of images.
    progress
        Whether a bar shows how it goes; or a function that is told.

    Returns
    -------
    dict
        What was made and measured: a `VectorIndex` by the head's name, and, with ``property=colour``, under that name a
        `PropertyIndex` of its heads together. What has such an index of all its images keeps it; any other is replaced.

    Raises
    ------
    ClipdbError
        If there is no such index, model or head, the type is unknown, a head has fewer vectors than 1,000 or than
        partitions, or another process writes to the index.
    Stopped
        On Ctrl-C; the heads that were done keep their indexes.

    Examples
    --------
    >>> clipdb.index_vectors("mine.clipdb", "L3.H1")
    Traceback (most recent call last):
    clipdb.errors.ClipdbError: L3.H1 of clipdb-tiny/scenes has 12 vectors and a vector index takes at least 1,000: \
exact search of so few is as quick
    """
    require("lance", "ingest")
    from clipdb.ingest.store import vector_indexes

    with stage_progress(progress, "heads") as stages:
        return vector_indexes.index_vectors(Path(index), heads, model, type, partitions, stages)


def drop_vector_indexes(index: str | Path, heads: str, *, model: str | None = None) -> list[str]:
    """Drop the vector indexes of heads: every image is compared again.

    Parameters
    ----------
    index, heads, model
        See `index_vectors`.

    Returns
    -------
    list of str
        The heads that had one; with commas, those that had one together.

    Raises
    ------
    ClipdbError
        If there is no such index, model or head, or none of the heads has a vector index.

    Examples
    --------
    >>> clipdb.drop_vector_indexes("mine.clipdb", "all")
    Traceback (most recent call last):
    clipdb.errors.ClipdbError: none of these heads of clipdb-tiny/scenes has a vector index
    """
    require("lance", "ingest")
    from clipdb.ingest.store import vector_indexes

    return vector_indexes.drop_vector_indexes(Path(index), heads, model)
