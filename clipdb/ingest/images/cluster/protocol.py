"""What the driver of a cluster and its actors tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from clipdb.ingest.images.image_options import ImageOptions
from clipdb.models.model_config import Named
from clipdb.models.rank_cut import Loss, RankCut
from clipdb.schema.names import Head
from clipdb.schema.vectors_place import VectorsPlace


@dataclass(frozen=True)
class Task:
    """What an actor has to know of an ingest.

    Attributes
    ----------
    table, schema, run
        The Lance table of the model's images, its columns, and the run that rows are of.
    marker, sources
        What the node has to see: a file in the index, unless the table is in a store, and what is read.
    model, weights_sha256
        The model, and its weights as the driver found them.
    layers, components, bases, cut
        What of the model is kept, in the bases of the index.
    options
        How; its workers are those of each actor.
    threads
        Of the model, on a CPU.
    """

    table: VectorsPlace
    schema: pa.Schema
    run: str
    marker: Path | None
    sources: list[str]
    model: Named
    weights_sha256: str
    layers: list[int]
    components: list[Head]
    bases: dict[Head, np.ndarray]
    cut: RankCut
    options: ImageOptions
    threads: int


@dataclass(frozen=True)
class Ready:
    """An actor that has loaded the model: its ``node`` and process, the type of its ``device``, and the card's name."""

    node: str
    pid: int
    device: str
    card: str


@dataclass(frozen=True)
class Look:
    """A window of a shard that an actor has read and holds.

    Attributes
    ----------
    ids
        Of its images in order; None for one that can't be read.
    last
        Whether the shard ends with it.
    left_out
        Then, how many links, pipes and devices the shard has.
    """

    ids: list[str | None]
    last: bool
    left_out: int


@dataclass(frozen=True)
class Answer:
    """What the driver says to a window.

    Attributes
    ----------
    order
        Number of the window among those that the actor embeds, which it does in order.
    wanted
        Images to embed.
    again
        Those of them that the table has, without all columns.
    broken
        Images that are known to be damaged, with the reason.
    batch
        Number that the rows get.
    """

    order: int
    wanted: set[str]
    again: set[str]
    broken: dict[str, str]
    batch: int


@dataclass
class Stored:
    """What has become of a window.

    Attributes
    ----------
    fragments, vectors
        Where the vectors of the new images are, on the disk already; or, of images that the table has, themselves.
    batch, again
        As it was answered.
    rows
        Of the table ``images``, for each new image.
    skipped
        What the source says of each image that was known.
    failures
        ``(uri, reason)`` of each file that can't be used.
    broken
        Images that were found to be damaged, with the reason.
    losses
        What cut vectors lack.
    error
        Of the actor's proof; None before its first image.
    """

    batch: int
    again: set[str]
    fragments: list[lance.FragmentMetadata] = field(default_factory=list)
    vectors: pa.Table | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    error: float | None = None
