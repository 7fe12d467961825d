"""Processes forked from a server that has imported all that commands import but Lance, which takes seconds."""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess

import pytest


class _Process(ForkServerProcess):
    def start(self) -> None:
        """Start; and the server with the first of them."""
        with pytest.MonkeyPatch.context() as patch:
            # By which alone it finds `imported`, without which it would start too, and say nothing.
            patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
            forkserver.ensure_running()
        super().start()


class _Context(ForkServerContext):
    Process = _Process


FORKED = _Context()
FORKED.set_forkserver_preload(["imported"])
