"""What clipdb says beside its results, through Python's logging: the logger is called ``clipdb``."""

from __future__ import annotations

import sys

_on_stderr = False


def show_on_stderr() -> None:
    """Print notes on stderr as they are, one line each: what the command line does."""
    global _on_stderr
    _on_stderr = True


def note(text: str, warns: bool = True) -> None:
    """Log a line for a person.

    Parameters
    ----------
    text
        The line.
    warns
        Whether it is something to know (a warning) or just how work goes.
    """
    if _on_stderr:
        print(text, file=sys.stderr, flush=True)
        return
    import logging

    logging.getLogger("clipdb").log(logging.WARNING if warns else logging.INFO, text)
