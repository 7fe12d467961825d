"""Ingest on a Ray cluster of two nodes of one core each, against one process that decodes in two others.

    python benchmarks/cluster.py

Both run on this machine, in turn. The rate counts everything from the moment that the model is loaded (that the first
actor has loaded it) until the command is done: the proof of exactness, reading, hashing, decoding, every commit,
compaction and the heads' statistics; on the cluster also the second actor's loading of the model. Everything runs
without a network, in a namespace of its own.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from measure import Comparison, report

INSIDE = "CLIPDB_BENCHMARK_INSIDE"
MODEL = "clipdb-tiny/scenes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if INSIDE not in os.environ:
        own = {INSIDE: "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
        own["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        apart = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        inner = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv]
        sys.exit(subprocess.run([*apart, *inner], env=os.environ | own).returncode)
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    import ray
    from ray.cluster_utils import Cluster

    write_shards(folder / "shards", options.images, options.shards)
    own = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **own})
    cluster.add_node(num_cpus=1, wait=False, **own)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR, _node_ip_address="127.0.0.1")
    cluster.wait_for_nodes()
    alone, together = [], []
    for _ in range(options.repeats):
        alone.append(seconds(folder, options.images, on_cluster=False))
        together.append(seconds(folder, options.images, on_cluster=True))
    timing = Comparison(alone, together)
    rates = [options.images * len(one) / sum(one) for one in (together, alone)]
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    report(
        f"ingest of {options.images:,} scenes on two nodes of one core: rate over that of one process",
        1 / timing.ratio,
        least=0.9,
        detail=f"pairs {1 / timing.ratios[-1]:.2f} to {1 / timing.ratios[0]:.2f}; {rates[0]:.0f} against "
        f"{rates[1]:.0f} images/s; load {load}",
    )


def write_shards(folder: Path, images: int, shards: int) -> None:
    from clipdb import demo

    folder.mkdir()
    pictures = [path for path, _ in demo.write_scenes(folder / "scenes", images, seed=1)]
    for place in range(shards):
        with tarfile.open(folder / f"{place:03}.tar", "w") as archive:
            for picture in pictures[place::shards]:
                archive.add(picture, picture.name)
    shutil.rmtree(folder / "scenes")


def seconds(folder: Path, images: int, on_cluster: bool) -> float:
    """Time an ingest into a new index, from the moment that a model is loaded."""
    from clipdb._util.stages import Progress
    from clipdb.ingest.images.cluster.ray_options import RayOptions
    from clipdb.ingest.images.image_ingest import ingest_images
    from clipdb.ingest.images.image_options import ImageOptions

    index, loaded = folder / "benchmark.clipdb", list[float]()
    if on_cluster:
        progress = Progress(counts=lambda counts, waiting: loaded.append(time.perf_counter()))
    else:
        progress = Progress(total=lambda total: loaded.append(time.perf_counter()))
    on = RayOptions("auto", 2) if on_cluster else None
    counts = ingest_images(index, [str(folder / "shards")], MODEL, ImageOptions(workers=2), progress, ray=on)
    ended = time.perf_counter()
    assert counts.added == images, counts
    shutil.rmtree(index)
    return ended - loaded[0]


if __name__ == "__main__":
    main()
