"""What the command `clipdb` and `python -m clipdb` run: the command line, which Ctrl-C ends at any moment."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from clipdb._util.interrupts import stop_at_once
from clipdb._util.pandas_unseen import leave_pandas_unseen


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell has background jobs ignore it
        signal.signal(signal.SIGINT, stop_at_once)
    leave_pandas_unseen()
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


if __name__ == "__main__":
    main()
