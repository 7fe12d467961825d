"""Write down what a person decides of a head's name and of the descriptions that stand for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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
from clipdb.schema.names import MOST_PROPERTY, is_name

HUMAN = "human:"

_AGAIN_SECONDS = 0.2


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


def property_name(given: str) -> str:
    """Return a head's name as a person wrote it, without the space around it.

    Raises
    ------
    ClipdbError
        If there is no word in it, it isn't one line or it is too long.
    """
    name = given.strip()
    if not name.strip(" .,;:!?") or not is_name(name, MOST_PROPERTY):
        raise ClipdbError("write a word or two")
    return name


def check_free(index: Path) -> None:
    """Check that a decision could be written now.

    Raises
    ------
    ClipdbError
        If another process writes to the index, or this person may not.
    """
    with writer_lock(index):
        pass


def record(
    index: Path,
    reviewer: str,
    decision: Decision,
    blind: bool = False,
    waits: Callable[[ClipdbError], None] | None = None,
) -> None:
    """Write a decision, and the verdicts that came with it, in one transaction.

    Each decision is a run of its own: a person may think for an hour, and nobody else could write to the index while a
    run is open. Where somebody else does, this waits: an answer is not to be lost.

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
    waits
        Called again and again while another process writes, with the error that names it; it gives the time for the
        next try, and may raise to give up. Default: a note on stderr, once.

    Raises
    ------
    ClipdbError
        If the name is none, or the index can't be written by this person.
    """
    who = reviewer_name(reviewer)
    key = {"model_id": decision.model_id, "layer": decision.layer, "head": decision.head}
    with ExitStack() as held:
        writer = _when_free(
            held, Writer(index, "review", key | {"reviewer": reviewer, "blind": blind}), waits or _noted()
        )
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


def _when_free(held: ExitStack, writer: Writer, waits: Callable[[ClipdbError], None]) -> Writer:
    """Enter a writer, when no other process writes to its index any more."""
    while True:
        try:
            return held.enter_context(writer)
        except ClipdbError as error:
            if error.kind != "busy":
                raise
            waits(error)


def _noted() -> Callable[[ClipdbError], None]:
    """Return what waits for a moment, and says once for what."""
    told = False

    def wait(error: ClipdbError) -> None:
        nonlocal told
        if not told:
            note(f"note: {error}; the answer is kept, and written after that")
        told = True
        time.sleep(_AGAIN_SECONDS)

    return wait
