"""Ask questions and store what comes of them as it comes, counted: a run of its own, where there is anything to ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipdb.ingest.names.llm.client import Question, Reply, T, ask
from clipdb.ingest.names.llm.outcome import Outcome
from clipdb.ingest.names.llm.server import Server
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer

# Often enough that a kill costs little, seldom enough that commits cost no time.
ANSWERS_A_COMMIT = 16
SECONDS_A_COMMIT = 2.0

Progress = Callable[[int, int, int], None]
"""Takes how many questions are answered, are asked in all, and have failed."""


@dataclass(frozen=True)
class Asking:
    """A run that asks, and where its rows go.

    Parameters
    ----------
    index
        Directory of the index.
    command, arguments
        What the run's row says of it, beside what it says of the server.
    skipped
        What it counts as skipped.
    table
        Where rows go; they have the columns ``run`` and ``status``.
    """

    index: Path
    command: str
    arguments: Mapping[str, Any]
    skipped: int
    table: str


def publish_left(index: Path, command: str) -> None:
    """Publish what a killed run has stored, so that it isn't asked for again."""
    with Writer(index, command, {}, empty_run=False):
        pass


def ask_and_store(
    run: Asking,
    server: Server,
    questions: Sequence[Question[T]],
    concurrency: int,
    rows: Callable[[Reply[T]], Sequence[Mapping[str, Any]]],
    progress: Progress,
) -> Outcome:
    """Ask questions with keys of their own, and store the rows that each reply makes; no question is no run.

    The run's counts are brought up to date with each commit.

    Parameters
    ----------
    rows
        Lays out a reply's rows, without their ``run``.

    Raises
    ------
    ClipdbError
        If another process writes to the index, or there is no server, or one that refuses the key or the model.
    """
    outcome = Outcome()
    if not questions:
        return outcome
    stored: dict[T, tuple[Reply[T], Sequence[Mapping[str, Any]]]] = {}
    with Writer(run.index, run.command, {**run.arguments, **server.arguments()}) as writer:
        writer.skipped = run.skipped

        def commit(batch: list[Reply[T]]) -> None:
            # A batch comes twice where a person stopped its commit.
            made = {reply.question.key: (reply, rows(reply)) for reply in batch}
            stored.update(made)
            well = [len(of) for reply, of in stored.values() if reply.error is None]
            badly = [len(of) for reply, of in stored.values() if reply.error is not None]
            outcome.answered, outcome.failed, outcome.rows = len(well), len(badly), sum(well)
            outcome.reason = outcome.reason or next((reply.error for reply in batch if reply.error), None)
            writer.added, writer.failed = sum(well), sum(badly)
            with writer.transaction() as connection:
                put(connection, run.table, [{**row, "run": writer.run} for _, of in made.values() for row in of])
            progress(outcome.answered, len(questions), outcome.failed)

        _commit_replies(ask(server, questions, concurrency), commit)
    return outcome


def _commit_replies(replies: Generator[Reply[T]], commit: Callable[[list[Reply[T]]], None]) -> None:
    """Hand replies on in batches; those that came before an error or Ctrl-C too.

    Parameters
    ----------
    commit
        Stores a batch. It is called again with the same batch where Ctrl-C stopped it.
    """
    batch: list[Reply[T]] = []
    last = time.monotonic()
    with closing(replies):
        try:
            for reply in replies:
                batch.append(reply)
                if len(batch) >= ANSWERS_A_COMMIT or time.monotonic() - last >= SECONDS_A_COMMIT:
                    commit(batch)
                    batch, last = [], time.monotonic()
        finally:
            if batch:
                commit(batch)
