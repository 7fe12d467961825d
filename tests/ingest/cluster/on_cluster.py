"""What tests of clusters look at: ingests on two nodes, one after the other. Arguments: a folder."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import lance
import pyarrow.parquet as pq
import ray
from object_store import BUCKET, ENVIRONMENT, object_store
from ray_cluster import LocalCluster, busy, kill_actor
from support import until

import clipdb
from clipdb.schema.vectors import images_path

MODEL = "clipdb-tiny/scenes"
STORED = f"s3://{BUCKET}/stored"
VECTORS = "select * exclude (_run, _batch) from image_vectors order by image_id"
SEED = 20


def main(folder: Path) -> None:
    with object_store() as store:
        os.environ |= {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint, "AWS_ALLOW_HTTP": "true"}  # nodes', too
        look(folder)
        os._exit(0)  # which ends all else in the namespace, too


def look(folder: Path) -> None:
    cluster = LocalCluster(2)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1")
    counts = clipdb.ingest_images(
        folder / "equal.clipdb", folder / "tars", model=MODEL, batch_size=10, ray="auto", progress=False
    )
    print(f"equal: {counts.added} {counts.skipped} {counts.failed}")
    counts = clipdb.ingest_images(
        folder / "stored.clipdb",
        folder / "tars",
        model=MODEL,
        batch_size=10,
        ray="auto",
        vectors=STORED,
        progress=False,
    )
    print(f"stored: {counts.added} {counts.skipped} {counts.failed}")
    with clipdb.open(folder / "stored.clipdb") as db:
        pq.write_table(db.sql(VECTORS).to_arrow_table(), folder / "stored.parquet")
    spanned = shutil.copytree(folder / "equal.clipdb", folder / "spanned.clipdb", symlinks=True)
    print("spanned:", clipdb.span(spanned, pool="scenes", ray="auto", progress=False).heads[MODEL])
    chance = random.Random(SEED)
    print("first driver:", kill_driver(cluster, folder, chance, ("actor",)))
    print("second driver:", kill_driver(cluster, folder, chance, ("raylet", "actor")))
    print("poisoned:", poisoned_under_kills(cluster, folder, chance), flush=True)


def committed(folder: Path) -> int:
    """Return how many versions the table of vectors has had; the first is empty."""
    try:
        return int(lance.dataset(str(images_path(folder / "kills.clipdb", MODEL))).latest_version)
    except ValueError:  # not made yet
        return 1


def kill(
    kinds: tuple[str, ...], cluster: LocalCluster, folder: Path, chance: random.Random, ended: Callable[[], bool]
) -> list[str]:
    """Kill actors and nodes, one after the other; return what was killed before something had ended."""
    kills = []
    for kind in kinds:
        before = committed(folder)
        if kind == "raylet" and busy(ended):
            cluster.kill_raylet(chance)
            kills.append(kind)
        elif kind == "actor" and kill_actor(chance, ended):
            kills.append(kind)
        # Or a shard may lose the three actors after which it is left out, and rightly.
        until(lambda before=before: committed(folder) > before or ended(), 180, 0.1)
    return kills


def kill_driver(cluster: LocalCluster, folder: Path, chance: random.Random, before: tuple[str, ...]) -> str:
    """Kill others and then, once something was committed after that, the driver; the same command resumes."""
    command = [sys.executable, "-m", "clipdb", "ingest", "images", str(folder / "slow"), "--model", MODEL]
    log = folder / "driver.log"
    process = subprocess.Popen(
        [*command, "--batch-size", "2", "--ray", cluster.address, "-i", str(folder / "kills.clipdb")],
        stdout=subprocess.DEVNULL,
        stderr=log.open("a"),
    )
    kills = kill(before, cluster, folder, chance, lambda: process.poll() is not None)
    time.sleep(chance.uniform(0, 1))
    process.kill()
    return " ".join([*kills, "driver"]) if process.wait() == -signal.SIGKILL else log.read_text()


def poisoned_under_kills(cluster: LocalCluster, folder: Path, chance: random.Random) -> str:
    """Ingest slow shards and one that nobody survives, while actors and a node are killed; return how it ended."""
    sources = [folder / "slow", folder / "nobody.poisoned"]
    ended = []

    def ingest() -> None:
        try:
            clipdb.ingest_images(
                folder / "kills.clipdb", sources, model=MODEL, batch_size=2, ray="auto", progress=False
            )
            ended.append("no error")
        except clipdb.ClipdbError as error:
            ended.append(str(error))

    working = threading.Thread(target=ingest)
    working.start()
    kinds = ("actor", "raylet", "actor", "actor", "actor")
    # In this thread: Ray starts nodes in no other.
    kills = kill(kinds, cluster, folder, chance, lambda: not working.is_alive())
    working.join()
    return f"{' '.join(kills)}; {' '.join(ended)}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
