"""How an ingest uses Ray, and how many actors that makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipdb._util.text import counted
from clipdb.errors import ClipdbError

_CARD = re.compile(r"cuda:(\d+)")
_ADDRESS = re.compile(r"auto|[^\s/:]+:\d+|\[[0-9a-fA-F:]+\]:\d+")


@dataclass(frozen=True)
class RayOptions:
    """Where Ray is, and what actors there are.

    Attributes
    ----------
    address
        ``HOST:PORT`` of a cluster's head, or ``auto`` for the cluster that this machine is part of. None: one is
        started here, and ends with the run.
    actors
        How many; None for as many as the cluster has GPUs, or else CPUs.
    gpus_per_actor
        How much of a GPU each has; None for a whole one where there are any.
    cards
        Numbers of the cards of this machine that Ray may use, if it is started here; None for all.
    """

    address: str | None = None
    actors: int | None = None
    gpus_per_actor: float | None = None
    cards: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Plan:
    """How many ``actors`` there are, what ``gpus`` and how many ``threads`` each has."""

    actors: int
    gpus: float
    threads: int


def ray_options(
    ray: str | bool | None, actors: int | None, gpus_per_actor: float | None, device: str
) -> RayOptions | None:
    """Check what was asked of Ray; None if it isn't asked for.

    Several cards, as ``cuda:0,cuda:1``, ask for a Ray of this machine that has these.

    Raises
    ------
    ClipdbError
        If it contradicts itself.
    """
    cards = _cards(device) if "," in device else None
    if (ray is None or ray is False) and cards is None:
        if actors is not None or gpus_per_actor is not None:
            raise ClipdbError("--actors and --gpus-per-actor are for a cluster: add --ray")
        return None
    address = None if ray is True or not ray else str(ray)
    if address is not None and cards is not None:
        raise ClipdbError(f"--device {device} names cards of this machine, not of a cluster: leave out {address}")
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ClipdbError(f"--ray {address} is no address: give HOST:PORT or auto, or --ray alone behind all SRC")
    if actors is not None and actors < 1:
        raise ClipdbError(f"{actors} actors can't embed anything: give 1 or more")
    if gpus_per_actor is not None and gpus_per_actor < 0:
        raise ClipdbError(f"--gpus-per-actor is {gpus_per_actor}: give 0 or more")
    if ":" in device and cards is None:
        raise ClipdbError(f"--device {device}: Ray chooses each actor's card: give --device cuda")
    return RayOptions(address, actors, gpus_per_actor, cards)


def _cards(device: str) -> tuple[int, ...]:
    """Read the numbers of several cards.

    Raises
    ------
    ClipdbError
        If it isn't a list of different cards.
    """
    found = [_CARD.fullmatch(one.strip()) for one in device.split(",")]
    cards = tuple(int(one[1]) for one in found if one)
    if len(set(cards)) < len(found):
        raise ClipdbError(f"--device {device} isn't a list of different cards: write them as cuda:0,cuda:1")
    return cards


def plan(nodes: Sequence[Mapping[str, Any]], options: RayOptions, device: str) -> Plan:
    """Choose how many actors there are.

    Parameters
    ----------
    nodes
        The resources of each node, by name, as Ray counts them.

    Raises
    ------
    ClipdbError
        If no node can hold an actor.
    """
    some = device in ("auto", "cuda") and any(node.get("GPU") for node in nodes)
    gpus = (1.0 if some else 0.0) if options.gpus_per_actor is None else options.gpus_per_actor
    fitting = int(sum(min(node.get("CPU", 0), node.get("GPU", 0) / gpus if gpus else 1e9) for node in nodes))
    if not fitting:
        has = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes)
        raise ClipdbError(f"no node of the cluster has what an actor takes, 1 CPU and {gpus:g} GPU: they have {has}")
    actors = options.actors or fitting
    return Plan(actors, gpus, max(1, int(sum(node.get("CPU", 0) for node in nodes)) // actors))


def described(plan: Plan) -> str:
    """Say what a plan is."""
    each = f"{counted(plan.threads, 'thread')}" + (f" and {plan.gpus:g} GPU" if plan.gpus else "")
    return f"{counted(plan.actors, 'actor')}, each with {each}"
