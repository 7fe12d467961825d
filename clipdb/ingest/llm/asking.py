"""Ask questions and store what comes of them as it comes, counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipdb.ingest.llm.batches import commit_replies
from clipdb.ingest.llm.client import Question, Reply, Server, T, ask
from clipdb.ingest.rows import put
from clipdb.ingest.writer import Writer

Progress = Callable[[int, int, int], None]
"""Takes how many questions are answered, are asked in all, and have failed."""


@dataclass
class Outcome:
    """What came of questions, and why the first one failed that did; ``rows`` counts what answers have made."""

    answered: int = 0
    skipped: int = 0
    failed: int = 0
    rows: int = 0
    reason: str | None = None

    def __iadd__(self, other: Outcome) -> Outcome:
        self.answered += other.answered
        self.skipped += other.skipped
        self.failed += other.failed
        self.rows += other.rows
        self.reason = self.reason or other.reason
        return self


def ask_and_store(
    writer: Writer,
    server: Server,
    questions: Sequence[Question[T]],
    concurrency: int,
    table: str,
    rows: Callable[[Reply[T]], Sequence[Mapping[str, Any]]],
    progress: Progress,
) -> Outcome:
    """Ask questions with keys of their own, and store the rows that each reply makes.

    The run's counts are brought up to date with each commit.

    Parameters
    ----------
    table
        Where rows go; they have a column ``status``.

    Raises
    ------
    ClipdbError
        If there is no server, or one that refuses the key or the model.
    """
    stored: dict[T, tuple[Reply[T], Sequence[Mapping[str, Any]]]] = {}
    outcome = Outcome()

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
            put(connection, table, [row for _, of in made.values() for row in of])
        progress(outcome.answered, len(questions), outcome.failed)

    if questions:
        commit_replies(ask(server, questions, concurrency), commit)
    return outcome
