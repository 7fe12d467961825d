"""Kill actors, nodes and drivers of ingests on a Ray cluster at random, resume, and look at what is there.

    PYTHONPATH=tests/helpers python tests/stress/ray_kills.py --kills 100 --minutes 60

Each round ingests the same pictures into a new index: tar shards with pictures in common, whose images come slowly. The
driver is a command that is started again when it was killed, until it ends well. Then an oracle that knows DuckDB and
Lance alone has to find each picture once in both stores, and no file that nothing needs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import oracle
import ray_cluster
import ray_sources

from clipdb import demo

MODEL = "clipdb-tiny/scenes"
WEIGHTS = {"actor": 6, "raylet": 2, "driver": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--nodes", type=int, default=2, choices=range(1, 5))
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        kill(options.inside, options)
        os._exit(0)  # which ends all else in the namespace, too
    if reason := ray_cluster.why_not():
        sys.exit(f"no namespace of its own for Ray's ports: {reason}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.images)
        arguments = [*sys.argv[1:], "--inside", folder]
        ray_cluster.run_apart(Path(__file__), *arguments, path=[folder / "plugin"])


def write(folder: Path, images: int) -> None:
    """Write shards of 20 pictures, of which each has the first of the next, too."""
    pictures = [path for path, _ in demo.write_scenes(folder / "scenes", images, 9)]
    (folder / "shards").mkdir()
    (folder / "plugin").mkdir()
    ray_sources.install(folder / "plugin")
    for place in range(0, images, 20):
        with tarfile.open(folder / "shards" / f"{place:05}.slowtar", "w") as archive:
            for file in pictures[place : place + 21]:
                archive.add(file, file.name)


def kill(folder: Path, options: argparse.Namespace) -> None:
    chance, end = random.Random(options.seed), time.monotonic() + 60 * options.minutes
    cluster, kills, rounds = ray_cluster.LocalCluster(options.nodes), Counter[str](), 0
    wanted = {hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "scenes").glob("*.png")}

    def more() -> bool:
        return kills.total() < options.kills and time.monotonic() < end

    while more():
        index, log = folder / f"{rounds}.clipdb", folder / f"{rounds}.log"
        command = [sys.executable, "-m", "clipdb", "ingest", "images", str(folder / "shards"), "--model", MODEL]
        command += ["--batch-size", "2", "--ray", cluster.address, "-i", str(index)]
        while True:
            driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log.open("a"))
            while driver.poll() is None and more():
                kind = chance.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
                if ray_cluster.busy(partial(ended, driver)) and driver.poll() is None:
                    time.sleep(chance.uniform(0, 1.5))
                    kills[kind] += done(kind, cluster, driver, chance)
                    print(f"killed: {dict(kills)}", flush=True)
            if driver.wait() == 0:
                break
            assert driver.returncode == -signal.SIGKILL, log.read_text()[-4000:]
        check(index, wanted)
        rounds += 1
        print(
            f"round {rounds}: {dict(kills)}; {len(wanted)} pictures once in both stores, nothing left over", flush=True
        )
        shutil.rmtree(index)


def ended(driver: subprocess.Popen[bytes]) -> bool:
    return driver.poll() is not None


def done(kind: str, cluster: ray_cluster.LocalCluster, driver: subprocess.Popen[bytes], chance: random.Random) -> int:
    """Kill something; return how many were killed."""
    if kind == "driver":
        driver.kill()
        driver.wait()
        return 1
    if kind == "raylet":
        cluster.kill_raylet(chance)
        return 1
    there = ray_cluster.actors()  # those that load their model, too
    if not there:
        return 0
    try:
        os.kill(chance.choice(there), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def check(index: Path, wanted: set[str]) -> None:
    """Check that an index has each picture once in both stores, and nothing else."""
    state, _ = oracle.stored(index)
    found = [one for (one,) in state["images with vectors"]]
    assert len(found) == len(set(found)) and set(found) == wanted, (len(found), len(wanted))
    assert state["image_failures"] == []
    left = list(oracle.leftovers(index))
    assert not left, left


if __name__ == "__main__":
    main()
