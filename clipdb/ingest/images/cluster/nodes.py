"""Check that a cluster's nodes have what an ingest needs, and see what it reads and writes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.ingest.images.cluster import probe
from clipdb.ingest.images.sources import Sources

_MARKER = ".cluster-"
_SEEN_SECONDS = 5.0  # for which a network file system may hide a new file
_CHECKED_SOURCES = 1000


def alive() -> list[dict[str, Any]]:
    """Return what Ray says of the nodes that are there."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def require_packages() -> None:
    """Check that every node has the packages that this machine has.

    Raises
    ------
    ClipdbError
        Naming the node, and both versions.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(probe)
    try:
        ask = ray.remote(num_cpus=0, max_retries=0)(probe.installed)
        found = {}
        for node in alive():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            found[node["NodeName"]] = ask.options(scheduling_strategy=there).remote()
        for name, answer in found.items():
            try:
                has = ray.get(answer)
            except ray.exceptions.RayError:  # the node has gone
                continue
            require_same(name, has, probe.installed())
    finally:
        ray.cloudpickle.unregister_pickle_by_value(probe)


def require_same(node: str, has: Mapping[str, str | None], ours: Mapping[str, str | None]) -> None:
    """Check a node's packages against this machine's.

    Raises
    ------
    ClipdbError
        Naming both versions.
    """
    for package, version in ours.items():
        if has[package] != version:
            there = f"has {package} {has[package]}" if has[package] else f"doesn't have {package}"
            raise ClipdbError(f"the node {node} {there}, and this machine has {version}: install that on every node")


@contextmanager
def marked(index: Path) -> Iterator[Path]:
    """Keep a file in the index that other machines can look for; the caller holds the index for writing."""
    for left in index.glob(f"{_MARKER}*"):
        left.unlink()
    marker = index / f"{_MARKER}{secrets.token_hex(8)}"
    marker.touch()
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)


def to_be_seen(sources: Sources) -> list[str]:
    """Name files and folders that every node has to see: of each source itself, or its first image if it is a list."""
    named = []
    for part in sources.parts[:_CHECKED_SOURCES]:
        first = next((item.uri for item in part), None) if part.listed else part.path
        if first is not None and Path(first).exists():
            named.append(first)
    return named


def require_seen(node: str, marker: Path | None, sources: Sequence[str]) -> None:
    """Check, on a node, that it sees the driver's index and sources.

    Raises
    ------
    ClipdbError
        Naming what it doesn't see.
    """
    until = time.monotonic() + _SEEN_SECONDS
    while marker is not None and not marker.exists():
        if time.monotonic() > until:
            raise ClipdbError(
                f"the node {node} doesn't see the index {marker.parent}: put it in a folder that all nodes share, "
                "under the same path"
            )
        time.sleep(0.1)
    for path in sources:
        if not Path(path).exists():
            raise ClipdbError(f"the node {node} doesn't see {path}: put it where all nodes do, under the same path")
