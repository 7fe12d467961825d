"""What the command `clipdb` runs: the command line, which Ctrl-C ends at any moment."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has background jobs ignore it
        signal.signal(signal.SIGINT, stop_at_once)
    from clipdb.cli import main as command

    command(prog_name="clipdb")


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """End the process while there is nothing to lose yet."""
    os.write(2, b"Stopped.\n")
    os._exit(130)
