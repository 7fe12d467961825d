"""The driver of an ingest on a cluster: it hands out shards, claims images, and commits what actors wrote."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pyarrow as pa

from clipdb._util.notes import note
from clipdb.ingest.images.cluster.actors import AHEAD, Actor, Actors, Call
from clipdb.ingest.images.cluster.protocol import Answer, Stored
from clipdb.ingest.images.cluster.shards import LIVES, Shard, Shards, Window
from clipdb.ingest.images.session import COMMIT_BATCHES, COMMIT_SECONDS, Session

_TOLD_SECONDS = 30.0
_PAUSE = 10  # times as long as a commit took before the next one: many actors fill one in less


class Driver:
    """Have the images of sources embedded by actors, and commit them as a session does.

    A window whose images another one has claimed waits until that is done, and holds no claims meanwhile: so no two
    wait for each other, and what has become of an image is known to all its copies.

    Parameters
    ----------
    session
        Commits, and counts.
    actors
        The actors.
    shards
        What they read.
    """

    def __init__(self, session: Session, actors: Actors, shards: Shards) -> None:
        self._session, self._actors, self._shards = session, actors, shards
        self._claimed: set[str] = set()
        self._broken: dict[str, str] = {}
        self._waiting: list[Stored] = []
        self._to_commit: set[str] = set()  # images of what waits
        self._batch_size = session.options.batch_on(session.model.device)
        self._told_at = time.monotonic()
        self._commit_seconds = 0.0
        self.left_out = 0

    def run(self) -> None:
        """Read all shards; what actors wrote until it breaks off is committed too."""
        try:
            while not self._done():
                if came := self._actors.wait(0.2):
                    self._take(*came)
                self._tell_if_idle()
                full = len(self._to_commit) >= COMMIT_BATCHES * self._batch_size
                passed = time.monotonic() - self._session.committed_at
                if passed > COMMIT_SECONDS or (full and passed > _PAUSE * self._commit_seconds):
                    self._commit()
        finally:  # Ctrl-C keeps what was written
            self._commit()

    def _done(self) -> bool:
        """Give work to all that can take some; return whether none is left."""
        for actor in self._actors.all:
            if actor.ready is not None:
                self._answer(actor)
                self._look_ahead(actor)
        return self._shards.finished

    def _look_ahead(self, actor: Actor) -> None:
        if actor.looking or len(actor.windows) >= AHEAD:
            return
        begin = actor.shard is None
        if begin and not any(shard.deaths for shard in actor.shards):
            actor.shard = self._shards.next(alone=not actor.windows)
        if actor.shard is not None:
            self._actors.look(actor, actor.shard, begin)

    def _answer(self, actor: Actor) -> None:
        """Have the windows of an actor embedded, in order, as far as nobody else has claimed their images."""
        for window in actor.windows:
            ids = [one for one in window.look.ids if one is not None]
            if window.asked:
                continue
            if not self._claimed.isdisjoint(ids):
                break
            new = set(ids) - self._broken.keys() - self._to_commit
            there = self._session.table.known(sorted(new))
            known = self._session.known(sorted(there)) if there else set()
            wanted, again = new - known, there - known
            self._claimed |= wanted
            window.claimed = frozenset(wanted)
            broken = {one: self._broken[one] for one in ids if one in self._broken}
            batch = self._session.table.next_batch()
            self._actors.embed(actor, window, Answer(actor.asked, wanted, again, broken, batch))

    def _take(self, call: Call, came: Any) -> None:
        actor = call.actor
        if isinstance(came, Exception):
            self._bury(actor)
        elif call.kind == "look":
            assert actor.shard is not None
            actor.looking = False
            actor.windows.append(Window(actor.shard, call.ticket, came))
            if came.last:
                actor.shard = None
        elif call.kind == "embed":
            next(window for window in actor.windows if window.ticket == call.ticket).stored = came
            while actor.windows and actor.windows[0].stored is not None:  # in order, as a shard is dealt with
                self._accept(actor.windows.popleft())
        else:
            self._session.writer.device = ", ".join(sorted(card for _, card in self._actors.cards))
            self._session.tell(len(self._to_commit))
        self._told_at = time.monotonic()

    def _accept(self, window: Window) -> None:
        """Take what an actor has made of a window: from here on it is never done again."""
        session, stored = self._session, window.stored
        assert stored is not None
        for uri, reason in stored.failures:
            session.failures.add(uri, reason)
        session.writer.skipped += len(stored.skipped)
        session.failures.mend(row["uri"] for row in stored.skipped)
        for row in stored.skipped:
            session.known_images.offer(row)
        if stored.error is not None:
            session.embedding.error = max(session.embedding.error or 0.0, stored.error)
        self._claimed -= window.claimed
        self._broken |= stored.broken
        if stored.rows:
            self._waiting.append(stored)
            self._to_commit |= {row["image_id"] for row in stored.rows}
        if self._shards.dealt_with(window):
            session.failures.mend([window.shard.name])
            self.left_out += window.look.left_out
        session.tell(len(self._to_commit))

    def _bury(self, actor: Actor) -> None:
        """Hand out again what a dead actor had, and ask for another."""
        for window in actor.windows:
            self._claimed -= window.claimed
        for shard in actor.shards:
            self._shards.died(shard)
            if shard in self._shards.given_up:
                self._session.failures.add(shard.name, gave_up(shard))
        note("ray: an actor died; what it had is handed out again", warns=False)
        self._actors.start()

    def _commit(self) -> None:
        began = time.monotonic()
        waiting, self._waiting = self._waiting, []
        session, table = self._session, self._session.table
        added = [one for one in waiting if one.vectors is None]
        again = [one for one in waiting if one.vectors is not None]
        for several in (added, again):
            rows = [row for one in several for row in one.rows]
            losses = [loss for one in several for loss in one.losses]
            if several is added and rows:
                fragments = [fragment for one in added for fragment in one.fragments]
                batches = {one.batch: len(one.rows) for one in added}
                store = partial(table.commit_fragments, fragments, added=batches)
                session.commit(rows, losses, set(), store)
            elif rows:
                vectors = pa.concat_tables(one.vectors for one in again)
                known = {one for stored in again for one in stored.again}
                session.commit(rows, losses, known, partial(table.commit, vectors, merge=True))
        self._to_commit = set()
        if waiting:
            session.tell(0)
        session.known_images.settle()
        session.committed_at = time.monotonic()
        self._commit_seconds = session.committed_at - began

    def _tell_if_idle(self) -> None:
        if time.monotonic() - self._told_at > _TOLD_SECONDS:
            here = sum(actor.ready is not None for actor in self._actors.all)
            note(f"ray: {here} of {len(self._actors.all)} actors are there; nothing came for {_TOLD_SECONDS:.0f} s")
            self._told_at = time.monotonic()


def gave_up(shard: Shard) -> str:
    """Say why a shard was left out."""
    return f"{LIVES} actors died over it, from its image {shard.done + 1} on"
