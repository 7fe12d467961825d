"""What the command `clipdb` runs: the command line, which Ctrl-C ends at any moment."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

RETRY_SECONDS = 0.02


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has background jobs ignore it
        signal.signal(signal.SIGINT, stop_at_once)
    from clipdb.cli import main as command

    try:
        command(prog_name="clipdb")
    except SystemExit as end:
        if "torch" in sys.modules and isinstance(end.code, int):
            with suppress(OSError):  # a closed pipe
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(end.code)  # an interpreter with torch in it takes a second to shut down
        raise


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but not inside an import.

    Libraries swallow it there, or turn it into another error; so it is tried again until the import is done.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """End the process while there is nothing to lose yet."""
    os.write(2, b"Stopped.\n")
    os._exit(130)
