"""What the command `clipdb` and `python -m clipdb` run: the command line, which Ctrl-C ends at any moment."""

from __future__ import annotations

import gc
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
    gc.disable()  # until the verb is imported: nothing is garbage yet, and to find that out takes milliseconds
    from clipdb.cli import main as command

    try:
        command(prog_name="clipdb")
    except SystemExit as end:
        if isinstance(end.code, int):
            with suppress(OSError):  # a closed pipe
                sys.stdout.flush()
                sys.stderr.flush()
            # Everything is closed. To shut the interpreter down as well takes a tenth of a cold query's time, and a
            # second with torch in it.
            os._exit(end.code)
        raise


if __name__ == "__main__":
    main()
