"""What a reviewer decides in the browser, written one after the other, when no other process writes."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

from clipdb._util.notes import note
from clipdb.errors import ClipdbError
from clipdb.ingest.names.people.decisions import Decision, check_free, record, reviewer_name
from clipdb.schema import catalog
from clipdb.schema.names import head_name, is_url

PATIENCE_SECONDS = 0.8
"""How long a request waits for its decision to be written; after that its page says so, and asks again."""

_AGAIN_SECONDS = 0.2


class NotWritten(ClipdbError):
    """Another process writes to the index: a decision is kept until it is done."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; your answer is kept, and written after that", kind="busy")


class Decisions:
    """Writes what one person decides, and waits for other writers.

    Parameters
    ----------
    index
        Directory of the index.
    reviewer
        The person's name.

    Attributes
    ----------
    reviewer
        The name, as it was given.
    labeller
        What the person is in the tables: ``human:NAME``.

    Raises
    ------
    ClipdbError
        If the name isn't valid, this is no index, or it can't be written by this person.
    """

    def __init__(self, index: str | Path, reviewer: str) -> None:
        if is_url(index):
            raise ClipdbError(f"{index} is a URL, made for reading: nothing can be decided there")
        self.reviewer = reviewer
        self.labeller = reviewer_name(reviewer)
        self._index = Path(index)
        catalog.refuse_artefact(self._index)
        try:
            check_free(self._index)
        except ClipdbError as error:
            if error.kind != "busy":  # decisions wait
                raise
        self._one = ThreadPoolExecutor(1, thread_name_prefix="clipdb-decisions")
        self._closing = threading.Event()
        self._begun: list[Future[None]] = []
        self._busy = "another decision is being written"

    def close(self) -> None:
        """Stop waiting for other writers; each decision that was not written is said on stderr."""
        self._closing.set()
        self._one.shutdown()

    def begin(self, decision: Decision, blind: bool) -> int:
        """Begin to write a decision.

        Returns
        -------
        int
            The number by which `wait` knows it.
        """
        self._begun.append(self._one.submit(self._write, decision, blind))
        return len(self._begun) - 1

    def wait(self, number: int) -> None:
        """Return when a decision is on disk.

        Raises
        ------
        NotWritten
            If that takes longer, since another process writes.
        ClipdbError
            If it can't be written, or there is no such decision.
        """
        if not 0 <= number < len(self._begun):
            raise ClipdbError("this explorer knows no such decision: go on at `/review`", kind="absent")
        try:
            self._begun[number].result(PATIENCE_SECONDS)
        except NotYet:
            raise NotWritten(self._busy) from None

    def _write(self, decision: Decision, blind: bool) -> None:
        try:
            record(self._index, self.reviewer, decision, blind, self._waits)
        except ClipdbError as error:
            head = head_name(decision.layer, decision.head)
            said = f"{'not ' if decision.rejected else ''}{decision.property!r}"
            note(f"note: the decision on {decision.model_id} {head}, {said}, was not written: {error}")
            raise

    def _waits(self, error: ClipdbError) -> None:
        self._busy = str(error)
        if self._closing.wait(_AGAIN_SECONDS):
            raise ClipdbError("the explorer was stopped while another process was writing", kind="busy")
