"""Which of the two partitions of an embedding a sum over heads is of: `trunk` or `pool`, never both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar, get_args

from clipdb.errors import ClipdbError
from clipdb.schema.names import Head, Partition, belongs_to, partition_of

PARTITIONS: tuple[Partition, ...] = get_args(Partition)

_Of = TypeVar("_Of")


def one_partition(heads: Iterable[Head], asked: str | None) -> set[Head]:
    """Keep the heads of one partition: the one that is asked for, or the only one that they are of.

    Raises
    ------
    ClipdbError
        If there is no such partition, or the heads are of both: each adds up to the embedding, and their sum to
        nothing.
    """
    if asked is not None and asked not in PARTITIONS:
        raise ClipdbError(f"partition is {asked!r}: it is one of {', '.join(PARTITIONS)}")
    kept = {head for head in heads if asked is None or partition_of(head[0]) == asked}
    if len({partition_of(layer) for layer, _ in kept}) > 1:
        raise ClipdbError(
            "these heads are of the pooling and of the trunk, which split the same embedding in two ways and are never "
            "added: choose one with --partition pool or --partition trunk"
        )
    return kept


def of_partition(by_part: Mapping[Head, _Of], asked: str | None) -> dict[Head, _Of]:
    """Keep what is of the heads of one partition, and of the other components that add up with them.

    See `one_partition`.

    Raises
    ------
    ClipdbError
        If none is of the partition that is asked for, too: an image may have come before they were kept.
    """
    kept = one_partition([part for part in by_part if part[1] >= 0], asked)
    if asked is not None and not kept:
        raise ClipdbError(
            f"the image has no vectors of the {'pooling' if asked == 'pool' else 'trunk'}'s heads: ingest it again "
            "with --layers, or leave --partition out",
            kind="absent",
        )
    pool = asked == "pool" or any(partition_of(layer) == "pool" for layer, _ in kept)
    return {part: value for part, value in by_part.items() if belongs_to(part, "pool" if pool else "trunk")}


def in_partition_of(heads: Iterable[Head], chosen: Iterable[Head]) -> list[Head]:
    """Return those of some heads that are of the same partition as the chosen ones."""
    wanted = {partition_of(layer) for layer, _ in chosen}
    return [head for head in heads if partition_of(head[0]) in wanted]
