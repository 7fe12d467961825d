"""Join a Ray cluster for the time of an ingest, or start one on this machine that ends with it."""

from __future__ import annotations

import os
import secrets
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch

from clipdb._util.notes import note
from clipdb._util.text import counted, first_line
from clipdb.errors import ClipdbError, require
from clipdb.ingest.images.cluster.nodes import alive, require_packages
from clipdb.ingest.images.cluster.ray_options import RayOptions

_STORE_BYTES = 256 * 2**20  # fragments go to the disk, and only rows through Ray's memory
_CONNECT_SECONDS = 10.0
_QUIET = {"log_to_driver": False, "logging_level": "error"}


@contextmanager
def cluster(options: RayOptions) -> Iterator[None]:
    """Be part of a cluster: of the one that this process is part of already, of that at the address, or of a new one.

    Raises
    ------
    ClipdbError
        If there is none at the address, or a node lacks what it needs.
    MissingExtra
        If Ray isn't installed.
    """
    own = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    if options.cards is not None:
        own |= {"CUDA_VISIBLE_DEVICES": visible(options.cards, torch.cuda.device_count())}
    with _environment(own if options.address is None else {}):
        ray = require("ray", "ray")
        if ray.is_initialized():
            if options.cards is not None:
                raise ClipdbError("this process is part of a Ray cluster, which chooses the cards: give --device cuda")
            require_packages()
            yield
            return
        try:
            if options.address is None:
                _start(ray, options)
            else:
                _join(ray, options.address)
            yield
        finally:
            ray.shutdown()


def visible(cards: Sequence[int], there: int) -> str:
    """Name cards of this machine as CUDA does in its variable of the environment, by which some may be hidden already.

    Raises
    ------
    ClipdbError
        If the machine doesn't have them, but as many as ``there`` says.
    """
    if max(cards) >= there:
        raise ClipdbError(f"--device cuda:{max(cards)} can't be used: torch sees {counted(there, 'card')} here")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(there)))).split(",")
    return ",".join(shown[card] for card in cards)


@cache
def _token() -> str:
    """Make the token of this process, which Ray reads once."""
    return os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)


def _start(ray: Any, options: RayOptions) -> None:
    """Start Ray, with a token that only this run and what it starts know: its ports are open to the network."""
    cpus = os.cpu_count() or 1
    if options.actors is not None and options.actors > cpus:
        if not torch.cuda.is_available():
            raise ClipdbError(f"--actors {options.actors} are more than this machine's {counted(cpus, 'core')}")
        cpus = options.actors  # which wait for their cards
    asks = getattr(ray._raylet, "get_authentication_mode", None)
    if asks is None or asks() != ray._raylet.AuthenticationMode.TOKEN:
        raise ClipdbError(
            "Ray can't ask for a token here: it is too old for that, or this process imported it before. Upgrade Ray, "
            "or set RAY_AUTH_MODE=token before Python starts, or call ray.init and give ray='auto'"
        )
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES, "_node_ip_address": "127.0.0.1"}
    gpus = {} if options.cards is None else {"num_gpus": len(options.cards)}
    with warnings.catch_warnings():  # about forks, which Ray's processes are not
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        ray.init("local", num_cpus=cpus, **gpus, **own, **_QUIET)  # else it would join one that it finds
    (node,) = alive()
    gcs = ray.get_runtime_context().gcs_address
    raylet = ", ".join(
        f"{node['NodeManagerAddress']}:{node[port]}" for port in ("NodeManagerPort", "ObjectManagerPort")
    )
    said = f"ray: started for this run; listens on {gcs}, {raylet} and ports of its workers, with a token of its own"
    note(said, warns=False)


def _join(ray: Any, address: str) -> None:
    """Join the cluster at an address; what Ray says of a failure is a page, of which the first line is kept."""
    known = _recorded() if address == "auto" else address
    if known is not None:
        host, _, port = known.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ClipdbError(
                f"no Ray cluster at {known} ({reason}): start one with `ray start --head`, or leave the address out",
                kind="absent",
            ) from error
    try:
        ray.init(address=address, **_QUIET)
    except Exception as error:  # Ray raises nearly anything
        raise ClipdbError(
            f"the Ray cluster at {address} can't be joined ({first_line(error)}): this machine has to be one of its "
            "nodes (`ray start --address HOST:PORT`), with its token and the same versions of Ray and Python"
        ) from error
    require_packages()


def _recorded() -> str | None:
    """Return the address that ``auto`` stands for, if there is one: it may be of a cluster that is gone."""
    with suppress(Exception):  # Ray raises nearly anything, and will say it again
        from ray._private.services import canonicalize_bootstrap_address

        found: str | None = canonicalize_bootstrap_address("auto")
        return found
    return None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
