"""The driver of an ingest on a cluster: it hands out shards, claims images, and commits what actors wrote."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pyarrow as pa

from clipdb._util.notes import note
from clipdb.ingest.images.cluster.messages import Answer, Stored
from clipdb.ingest.images.cluster.shards import LIVES, Shard, Shards, Window
from clipdb.ingest.images.cluster.workers import AHEAD, Call, Worker, Workers
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
    workers
        The actors.
    shards
        What they read.
    """

    def __init__(self, session: Session, workers: Workers, shards: Shards) -> None:
        self._session, self._workers, self._shards = session, workers, shards
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
                if came := self._workers.wait(0.2):
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
        for worker in self._workers.all:
            if worker.ready is not None:
                self._answer(worker)
                self._look_ahead(worker)
        return self._shards.finished

    def _look_ahead(self, worker: Worker) -> None:
        if worker.looking or len(worker.windows) >= AHEAD:
            return
        begin = worker.shard is None
        if begin and not any(shard.deaths for shard in worker.shards):
            worker.shard = self._shards.next(alone=not worker.windows)
        if worker.shard is not None:
            self._workers.look(worker, worker.shard, begin)

    def _answer(self, worker: Worker) -> None:
        """Have the windows of an actor embedded, in order, as far as nobody else has claimed their images."""
        for window in worker.windows:
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
            self._workers.embed(worker, window, Answer(worker.asked, wanted, again, broken, batch))

    def _take(self, call: Call, came: Any) -> None:
        worker = call.worker
        if isinstance(came, Exception):
            self._bury(worker)
        elif call.kind == "look":
            assert worker.shard is not None
            worker.looking = False
            worker.windows.append(Window(worker.shard, call.ticket, came))
            if came.last:
                worker.shard = None
        elif call.kind == "embed":
            next(window for window in worker.windows if window.ticket == call.ticket).stored = came
            while worker.windows and worker.windows[0].stored is not None:  # in order, as a shard is dealt with
                self._accept(worker.windows.popleft())
        else:
            self._session.writer.device = ", ".join(sorted(card for _, card in self._workers.cards))
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

    def _bury(self, worker: Worker) -> None:
        """Hand out again what a dead actor had, and ask for another."""
        for window in worker.windows:
            self._claimed -= window.claimed
        for shard in worker.shards:
            self._shards.died(shard)
            if shard in self._shards.given_up:
                self._session.failures.add(shard.name, gave_up(shard))
        note("ray: an actor died; what it had is handed out again", warns=False)
        self._workers.start()

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
            here = sum(worker.ready is not None for worker in self._workers.all)
            note(f"ray: {here} of {len(self._workers.all)} actors are there; nothing came for {_TOLD_SECONDS:.0f} s")
            self._told_at = time.monotonic()


def gave_up(shard: Shard) -> str:
    """Say why a shard was left out."""
    return f"{LIVES} actors died over it, from its image {shard.done + 1} on"
