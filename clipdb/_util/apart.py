"""Work that Ctrl-C must not cut short: it runs on a thread of its own while the caller waits.

An import of torch that is cut short leaves half of it behind: the process can't import it again, and may crash. Here
Ctrl-C only ends the wait. The work goes on in the background, and the next question finds it done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")

_one_at_a_time = threading.Lock()
_threads: set[threading.Thread] = set()
_waited_for: set[Future[Any]] = set()


def apart(work: Callable[[], _T]) -> _T:
    """Do some work on a thread of its own and wait for it.

    Work that was begun earlier and whose caller was stopped is finished first.

    Raises
    ------
    KeyboardInterrupt
        At once, when Ctrl-C comes while the main thread waits here, or when `let_go` is called.
    Exception
        Whatever the work raises.
    """
    if threading.current_thread() in _threads:
        return work()
    answer: Future[_T] = Future()
    thread = threading.Thread(target=_run, args=(work, answer), name="clipdb-apart", daemon=True)
    _threads.add(thread)
    _waited_for.add(answer)
    try:
        thread.start()
        return answer.result()
    except CancelledError:
        raise KeyboardInterrupt from None
    finally:
        _waited_for.discard(answer)
        answer.cancel()  # if it has not begun, nobody needs it


def let_go() -> None:
    """End every wait with KeyboardInterrupt: Ctrl-C itself reaches the main thread only."""
    for answer in list(_waited_for):
        with suppress(InvalidStateError):  # it has just ended
            if not answer.cancel():
                answer.set_exception(KeyboardInterrupt())


def busy() -> bool:
    """Return whether work goes on: an interpreter that shuts down meanwhile may crash."""
    return any(thread.is_alive() for thread in list(_threads))


def _run(work: Callable[[], _T], answer: Future[_T]) -> None:
    try:
        with _one_at_a_time:
            if answer.set_running_or_notify_cancel():
                _settle(work, answer)
    finally:
        _threads.discard(threading.current_thread())


def _settle(work: Callable[[], _T], answer: Future[_T]) -> None:
    try:
        result = work()
    except BaseException as error:
        with suppress(InvalidStateError):  # nobody waits any more
            answer.set_exception(error)
    else:
        with suppress(InvalidStateError):
            answer.set_result(result)
