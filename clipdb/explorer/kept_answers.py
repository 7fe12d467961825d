"""What was asked of a state of the index, kept: a state never changes, so its answers don't either."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from clipdb.explorer.answering import Answer

MOST = 500
"""Answers kept, those used last."""

MOST_ROWS = 500
"""Of an answer that is kept."""


class Kept:
    """Answers by what was asked."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, ask: Callable[[], Answer]) -> Answer:
        """Return what is kept under a key; else ask, and keep the answer if it is short.

        Parameters
        ----------
        key
            The state, and all that was asked of it.
        ask
            Asks. What it raises is not kept.
        """
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        answer = ask()
        if len(answer.rows) <= MOST_ROWS:
            with self._lock:
                self._answers[key] = answer
                while len(self._answers) > MOST:
                    self._answers.popitem(last=False)
        return answer
