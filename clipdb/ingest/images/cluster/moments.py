"""Take the moments of heads on a cluster: each node reads some fragments, and sums add up to those of all."""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.ingest.images.cluster.connection import cluster
from clipdb.ingest.images.cluster.nodes import alive, marked, require_seen
from clipdb.ingest.images.cluster.ray_options import Plan, RayOptions, described, plan
from clipdb.ingest.store.moments import Halves, TakeHalves, fragment_halves, summed
from clipdb.ingest.store.table_folder import open_table
from clipdb.schema.vectors_place import VectorsPlace

_AHEAD = 2  # fragments per actor that are asked for: their sums lie in memory until their turn comes


@contextmanager
def taking_on(options: RayOptions, index: Path) -> Iterator[TakeHalves]:
    """Join or start a cluster that takes moments; the caller holds the index for writing.

    Raises
    ------
    ClipdbError
        If there is no such cluster, or its nodes lack something.
    """
    with cluster(options), marked(index) as marker:
        chosen = plan([node["Resources"] for node in alive()], options, "cpu")
        note(f"ray: {described(chosen)}", warns=False)
        yield halves_on(chosen, marker)


def halves_on(chosen: Plan, marker: Path) -> TakeHalves:
    """Return what takes the moments of a table's columns on the cluster that this process is part of.

    They are those of one process bit for bit, since that sums fragment by fragment as well.

    Parameters
    ----------
    chosen
        How many fragments are read at once.
    marker
        A file in the index, which nodes have to see where the table isn't in a store.
    """

    def take(dataset: Any, columns: Sequence[str], table: VectorsPlace) -> dict[str, Halves]:
        import ray

        place = table.absolute() if isinstance(table, Path) else table
        seen = marker.absolute() if isinstance(table, Path) else None
        ask = ray.remote(num_cpus=1)(_on_node)
        names, threads = list(columns), chosen.threads
        coming: deque[Any] = deque()

        def sums() -> Iterator[dict[str, Halves]]:
            for fragment in dataset.get_fragments():
                if len(coming) == _AHEAD * chosen.actors:
                    yield _came(coming.popleft())
                coming.append(ask.remote(place, dataset.version, fragment.fragment_id, names, threads, seen))
            while coming:
                yield _came(coming.popleft())

        return summed(sums())

    return take


def _on_node(
    table: VectorsPlace, version: int, fragment: int, columns: list[str], threads: int, marker: Path | None
) -> dict[str, Halves]:
    """Take the moments of a fragment, on a node."""
    require_seen(platform.node(), marker, [])
    torch.set_num_threads(threads)
    return fragment_halves(open_table(table, version).get_fragment(fragment), columns, threads)


def _came(reference: Any) -> dict[str, Halves]:
    """Wait for a node's answer; a node that dies is replaced by Ray, which asks again.

    Raises
    ------
    ClipdbError
        What the node raised, or that nodes die.
    """
    import ray

    try:
        found: dict[str, Halves] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ClipdbError):
            raise ClipdbError(str(error.cause), kind=error.cause.kind) from error
        raise
    except ray.exceptions.RayError as error:
        why = " ".join(str(error).split())
        raise ClipdbError(f"nodes died while they took moments: {why}: the same command begins again") from error
    return found
