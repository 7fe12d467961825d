"""Commit answers as they come: often enough that a kill costs little, seldom enough that it costs no time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing

from clipdb.ingest.llm.client import Reply, T

ANSWERS_A_COMMIT = 16
SECONDS_A_COMMIT = 2.0


def commit_replies(replies: Generator[Reply[T]], commit: Callable[[list[Reply[T]]], None]) -> None:
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
