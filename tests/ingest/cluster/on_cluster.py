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
from pathlib import Path

import ray
from ray_cluster import LocalCluster, kill_actor
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
    print("driver:", kill_driver(cluster, folder, chance))
    print("poisoned:", poisoned_under_kills(cluster, folder, chance), flush=True)
    os._exit(0)  # which ends all else in the namespace, too


def kill_driver(cluster: LocalCluster, folder: Path, chance: random.Random) -> str:
    """Kill -9 a driver once it has committed something; the same command resumes in `poisoned_under_kills`."""
    command = [sys.executable, "-m", "clipdb", "ingest", "images", str(folder / "slow"), "--model", MODEL]
    process = subprocess.Popen(
        [*command, "--batch-size", "2", "--ray", cluster.address, "-i", str(folder / "kills.clipdb")],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "driver.log").open("w"),
    )
    versions = folder / "kills.clipdb" / "vectors" / f"{MODEL.replace('/', '__')}.images.lance" / "_versions"
    committed = until(lambda: len(list(versions.glob("*.manifest"))) > 1, 180)  # the first is of the empty table
    time.sleep(chance.uniform(0, 1))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return "killed" if committed else (folder / "driver.log").read_text()


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
    kills = []
    for kind in ("actor", "raylet", "actor"):  # in this thread: Ray starts nodes in no other
        if kind == "raylet":
            cluster.kill_raylet(chance)
        if kind == "raylet" or kill_actor(chance, lambda: not working.is_alive()):
            kills.append(kind)
    working.join()
    return f"{kills} {' '.join(ended)}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
