"""Write down what a person decides of a head's name and of the descriptions that stand for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from clipdb._util.notes import note
from clipdb._util.text import quoted
from clipdb.errors import ClipdbError
from clipdb.ingest.store.lock import writer_lock
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.schema.names import is_name

HUMAN = "human:"


@dataclass(frozen=True)
class Decision:
    """What a person says of one head.

    Attributes
    ----------
    model_id, layer, head
        The head.
    pool
        Pool whose spans the person saw.
    property
        The head's name, or the name that is wrong.
    rejected
        Whether it is wrong.
    confidence
        How well the name fits, 0..1; None where the person did not say.
    verdicts
        By text_id, whether the description fits the name; None where the person can't say.
    """

    model_id: str
    layer: int
    head: int
    pool: str
    property: str
    rejected: bool = False
    confidence: float | None = None
    verdicts: Mapping[str, bool | None] = field(default_factory=dict)


def reviewer_name(name: str) -> str:
    """Return the labeller and judge that a person is in the tables: ``human:NAME``.

    Raises
    ------
    ClipdbError
        If the name is empty, not one line or too long.
    """
    if not is_name(name):
        raise ClipdbError(f"{quoted(name)} isn't a valid name: say who reviews with --reviewer NAME")
    return HUMAN + name.strip()


def check_free(index: Path) -> None:
    """Check that a decision could be written now.

    Raises
    ------
    ClipdbError
        If another process writes to the index, or this person may not.
    """
    with writer_lock(index):
        pass


def record(index: Path, reviewer: str, decision: Decision, blind: bool = False) -> None:
    """Write a decision, and the verdicts that came with it, in one transaction.

    Each decision is a run of its own: a person may think for an hour, and nobody else could write to the index while a
    run is open. Where somebody else does, this waits, and says so on stderr: an answer is not to be lost.

    Parameters
    ----------
    index
        Directory of the index.
    reviewer
        The person's name.
    decision
        What they decided.
    blind
        Whether they decided without seeing a name; the run says so.

    Raises
    ------
    ClipdbError
        If the name is none, or the index can't be written by this person.
    """
    who = reviewer_name(reviewer)
    key = {"model_id": decision.model_id, "layer": decision.layer, "head": decision.head}
    with ExitStack() as held:
        writer = _when_free(held, Writer(index, "review", key | {"reviewer": reviewer, "blind": blind}))
        connection = held.enter_context(writer.transaction())
        label = {
            "pool": decision.pool,
            "labeller": who,
            "run": writer.run,
            "property": decision.property,
            "confidence": decision.confidence,
            "status": "rejected" if decision.rejected else "ok",
            "created_at": datetime.now(UTC),
        }
        verdicts = [
            key
            | {"text_id": text, "property": decision.property, "judge": who, "run": writer.run}
            | {"verdict": verdict, "status": "ok"}
            for text, verdict in decision.verdicts.items()
        ]
        put(connection, "labels", [key | label])
        put(connection, "judgements", verdicts)
        writer.added = 1


def _when_free(held: ExitStack, writer: Writer) -> Writer:
    """Enter a writer, when no other process writes to its index any more."""
    told = False
    while True:
        try:
            return held.enter_context(writer)
        except ClipdbError as error:
            if error.kind != "busy":
                raise
            if not told:
                note(f"note: {error}; the answer is kept, and written after that")
            told = True
        time.sleep(0.2)
