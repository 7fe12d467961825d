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

import ray
from ray_cluster import LocalCluster, busy, kill_actor
from support import until

import clipdb

MODEL = "clipdb-tiny/scenes"
SEED = 20


def main(folder: Path) -> None:
    cluster = LocalCluster(2)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1")
    counts = clipdb.ingest_images(
        folder / "equal.clipdb", folder / "tars", model=MODEL, batch_size=10, ray="auto", progress=False
    )
    print(f"equal: {counts.added} {counts.skipped} {counts.failed}")
    spanned = shutil.copytree(folder / "equal.clipdb", folder / "spanned.clipdb", symlinks=True)
    print("spanned:", clipdb.span(spanned, pool="scenes", ray="auto", progress=False).heads[MODEL])
    chance = random.Random(SEED)
    print("first driver:", kill_driver(cluster, folder, chance, ("actor",)))
    print("second driver:", kill_driver(cluster, folder, chance, ("raylet", "actor")))
    print("poisoned:", poisoned_under_kills(cluster, folder, chance), flush=True)
    os._exit(0)  # which ends all else in the namespace, too


def kill(kinds: tuple[str, ...], cluster: LocalCluster, chance: random.Random, ended: Callable[[], bool]) -> list[str]:
    """Kill actors and nodes, one after the other; return what was killed before something had ended."""
    kills = []
    for kind in kinds:
        if kind == "raylet" and busy(ended):
            cluster.kill_raylet(chance)
            kills.append(kind)
        elif kind == "actor" and kill_actor(chance, ended):
            kills.append(kind)
    return kills


def kill_driver(cluster: LocalCluster, folder: Path, chance: random.Random, before: tuple[str, ...]) -> str:
    """Kill others and then, once it has committed something, the driver; the same command resumes afterwards."""
    index, log = folder / "kills.clipdb", folder / "driver.log"
    command = [sys.executable, "-m", "clipdb", "ingest", "images", str(folder / "slow"), "--model", MODEL]
    versions = index / "vectors" / f"{MODEL.replace('/', '__')}.images.lance" / "_versions"
    known = max(1, len(list(versions.glob("*.manifest"))))  # the first is of the empty table
    process = subprocess.Popen(
        [*command, "--batch-size", "2", "--ray", cluster.address, "-i", str(index)],
        stdout=subprocess.DEVNULL,
        stderr=log.open("a"),
    )
    kills = kill(before, cluster, chance, lambda: process.poll() is not None)
    committed = until(lambda: len(list(versions.glob("*.manifest"))) > known, 180)
    time.sleep(chance.uniform(0, 1))
    process.kill()
    ended = process.wait()
    return " ".join([*kills, "driver"]) if committed and ended == -signal.SIGKILL else log.read_text()


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
    kills = kill(kinds, cluster, chance, lambda: not working.is_alive())  # in this thread: Ray starts nodes in no other
    working.join()
    return f"{' '.join(kills)}; {' '.join(ended)}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
