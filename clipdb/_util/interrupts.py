"""Ctrl-C, which ends a command at any moment: what the signal does, and when it has been dealt with."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

RETRY_SECONDS = 0.02


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt until it is on its way: on Ctrl-C, and again by a timer that `settled` stops.

    Inside an import it isn't raised, since libraries turn it into another error there; and elsewhere code written in C
    may drop it, as it drops any error of a Python function that it calls.
    """
    if number == signal.SIGALRM and _under_way(sys.exc_info()[1]):
        return
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
    if not _importing(frame):
        raise KeyboardInterrupt


def settled() -> None:
    """State that Ctrl-C has been dealt with and the process goes on."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _under_way(error: BaseException | None) -> bool:
    """Return whether an error that is being dealt with is KeyboardInterrupt, or was raised in its place."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """End the process while there is nothing to lose yet."""
    os.write(2, b"Stopped.\n")
    os._exit(130)
