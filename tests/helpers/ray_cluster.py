"""A Ray cluster on this machine, in a network and a process namespace of its own, and whom to kill in it.

Ray's ports listen on whatever the machine has. So everything runs under ``unshare``, with loopback alone, and ends with
the first process of the namespace, however that ends.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from support import children

UNSHARE = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
STORE_BYTES = 80 * 2**20


def why_not() -> str | None:
    """Say why there can be no namespace here; None if there can."""
    try:
        tried = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, text=True)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return tried.stderr.strip() or "unshare failed" if tried.returncode else None


def run_apart(script: Path, *arguments: object, path: list[Path], seconds: float | None = None) -> str:
    """Run a script in namespaces of its own, and fail if it does; return what it printed if ``seconds`` limit it."""
    inner = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, str(script), *map(str, arguments)]
    kept = seconds is not None
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as own:  # sockets' paths have to be short
        environment = {
            "PYTHONPATH": os.pathsep.join([*map(str, path), *filter(None, sys.path)]),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": own,
            "OMP_NUM_THREADS": "1",
        }
        ran = subprocess.run(
            [*UNSHARE, *inner], capture_output=kept, text=True, env=os.environ | environment, timeout=seconds
        )
    assert ran.returncode == 0, f"{ran.stdout[-4000:]}\n{ran.stderr[-8000:]}" if kept else ran.returncode
    return ran.stdout or ""


class LocalCluster:
    """Raylets of one CPU each beside a head without any; to be made inside of `run_apart`."""

    def __init__(self, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        own = {"node_ip_address": "127.0.0.1", "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **own})
        self.address: str = self._cluster.address
        self.nodes: list[Any] = []
        for _ in range(nodes):
            self.add()

    def add(self) -> None:
        own = {"node_ip_address": "127.0.0.1", "object_store_memory": STORE_BYTES}
        self.nodes.append(self._cluster.add_node(num_cpus=1, wait=False, **own))

    def kill_raylet(self, chance: random.Random) -> None:
        """Kill a node, and start another in its place."""
        node = self.nodes.pop(chance.randrange(len(self.nodes)))
        self._cluster.remove_node(node, allow_graceful=False)
        self.add()


def actors() -> list[int]:
    """List the processes of actors."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cmdline").read_bytes().startswith(b"ray::EmbeddingActor"):
                found.append(int(entry.name))
    return found


def at_work() -> list[int]:
    """List those that have loaded their model: they have begun to decode, in processes of their own."""
    return [pid for pid in actors() if children(pid)]


def busy(ended: Callable[[], bool], seconds: float = 120) -> bool:
    """Wait for an actor that is at work; return whether there is one, before something has ended."""
    end = time.monotonic() + seconds
    while not at_work():
        if ended() or time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def kill_actor(chance: random.Random, ended: Callable[[], bool]) -> bool:
    """Kill an actor at a random moment of its work; return whether there was one."""
    while busy(ended):
        time.sleep(chance.uniform(0, 0.5))
        with suppress(ProcessLookupError, IndexError):
            os.kill(chance.choice(at_work()), signal.SIGKILL)
            return True
    return False
