"""The actors of a cluster, as its driver sees them."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import ray

from clipdb.errors import ClipdbError
from clipdb.ingest.images.cluster.embedding_actor import EmbeddingActor
from clipdb.ingest.images.cluster.protocol import Answer, Ready, Task
from clipdb.ingest.images.cluster.ray_options import Plan
from clipdb.ingest.images.cluster.shards import Shard, Window

AHEAD = 2  # windows that an actor holds: one is embedded, and the next is read and decoded
_DEATHS_BEFORE_READY = 10
_END_SECONDS = 5.0


@dataclass(eq=False)
class Actor:
    """An actor, what it has ``shard`` open, and the windows that it holds."""

    handle: Any
    ready: Ready | None = None
    shard: Shard | None = None
    looking: bool = False
    windows: deque[Window] = field(default_factory=deque)
    asked: int = 0

    @property
    def shards(self) -> set[Shard]:
        """The shards that would be handed out again if it died."""
        return {window.shard for window in self.windows} | ({self.shard} if self.shard else set())


@dataclass(frozen=True)
class Call:
    """A call of an actor that has not come back: ``load``, ``look`` or ``embed``."""

    actor: Actor
    kind: str
    ticket: int = -1


class Actors:
    """Start actors, call them, and say what came back or which of them died.

    Parameters
    ----------
    task
        What they are told.
    plan
        How many there are.
    """

    def __init__(self, task: Task, plan: Plan) -> None:
        self._task = ray.put(task)
        takes = {"num_cpus": 1, "num_gpus": plan.gpus, "max_restarts": 0}
        remote: Any = ray.remote
        self._class = remote(**takes, concurrency_groups={"look": 1, "embed": AHEAD})(EmbeddingActor)
        self._calls: dict[Any, Call] = {}
        self._tickets = itertools.count()
        self._deaths = 0  # since an actor got ready
        self.all: list[Actor] = []
        self.cards: set[tuple[str, str]] = set()
        for _ in range(plan.actors):
            self.start()

    def start(self) -> None:
        """Ask for an actor, which is made when the cluster has room."""
        actor = Actor(self._class.remote())
        self.all.append(actor)
        self._calls[actor.handle.load.remote(self._task)] = Call(actor, "load")

    def look(self, actor: Actor, shard: Shard, begin: bool) -> None:
        """Have an actor read the next window."""
        actor.looking, ticket = True, next(self._tickets)
        method = actor.handle.look.options(concurrency_group="look")
        reference = method.remote(ticket, shard.source if begin else None, shard.done)
        self._calls[reference] = Call(actor, "look", ticket)

    def embed(self, actor: Actor, window: Window, answer: Answer) -> None:
        """Have an actor embed a window."""
        window.asked, actor.asked = True, actor.asked + 1
        reference = actor.handle.embed.options(concurrency_group="embed").remote(window.ticket, answer)
        self._calls[reference] = Call(actor, "embed", window.ticket)

    def wait(self, seconds: float) -> tuple[Call, Any] | None:
        """Wait for a call; return what came back, or the error by which its actor died.

        Raises
        ------
        ClipdbError
            What the actor raised, or that actors die before they have loaded the model.
        Exception
            A fault of the program in an actor.
        """
        back, _ = ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        if not back:
            return None
        call = self._calls.pop(back[0])
        try:
            result = ray.get(back[0])
        except ray.exceptions.RayTaskError as error:  # not a death: trying again would end in the same way
            if isinstance(error.cause, ClipdbError):
                raise ClipdbError(str(error.cause), kind=error.cause.kind) from error
            raise
        except ray.exceptions.RayError as error:
            self._bury(call.actor, error)
            return call, error
        if call.kind == "load":
            self._greet(call.actor, result)
        return call, result

    def _greet(self, actor: Actor, ready: Ready) -> None:
        self._deaths = 0
        actor.ready = ready
        self.cards.add((ready.device, ready.card))
        kinds = sorted({kind for kind, _ in self.cards})
        if len(kinds) > 1:
            raise ClipdbError(
                f"some actors run on {kinds[0]} and some on {kinds[1]}: choose with --device, so that vectors are alike"
            )

    def _bury(self, actor: Actor, error: Exception) -> None:
        """Forget an actor and what it was asked; make sure that it is gone."""
        ray.kill(actor.handle)
        self.all.remove(actor)
        self._calls = {reference: call for reference, call in self._calls.items() if call.actor is not actor}
        self._deaths += actor.ready is None
        if self._deaths >= _DEATHS_BEFORE_READY:
            why = " ".join(str(error).split())
            raise ClipdbError(f"{self._deaths} actors died before they had loaded the model: {why}")

    def stop(self) -> None:
        """End all actors."""
        for actor in self.all:
            ray.kill(actor.handle)
        if self._calls:  # which fail when their actors are gone, who may be writing still
            ray.wait(list(self._calls), num_returns=len(self._calls), timeout=_END_SECONDS)
        self.all, self._calls = [], {}
