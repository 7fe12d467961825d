"""One decoding process, from both ends.

It is a plain subprocess rather than a `multiprocessing` one: those import the caller's main module again
(torch, in most scripts) and need its ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe

from clipdb.errors import ClipdbError
from clipdb.models.preprocess import ImageFacts, Preprocess, Undecodable, decode

_STARTS = 5  # before it is given up; the system kills processes when memory is short
_START_S = 120.0  # to import Pillow, on a loaded machine
_IMAGE_S = 300.0  # for one image; the largest that is let through takes some ten seconds

Result = tuple[ImageFacts, bytes] | tuple[str, None]
"""What became of an image: facts and pixels (uint8 of `Preprocess.shape`, C order), or a reason."""


def try_decode(data: bytes, preprocess: Preprocess) -> Result:
    """Decode, with the reason in place of an exception."""
    try:
        decoded = decode(data, preprocess)
    except Undecodable as error:
        return str(error), None
    return ImageFacts(decoded.width, decoded.height, decoded.format), decoded.pixels.tobytes()


class WorkerDied(Exception):
    """The process ended while it owed a result; the message says how."""


class WorkerHung(WorkerDied):
    """The process did not answer in time and was ended."""


class Worker:
    """The parent's end. One thread uses it; `stop` may come from any."""

    def __init__(self, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        self._lock = threading.Lock()
        self._stopped = False
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._launch()

    def send(self, images: Sequence[bytes]) -> None:
        """Send the process images to decode, after starting it if it is not there.

        Raises
        ------
        WorkerDied
            When the process has ended.
        ClipdbError
            When it cannot be started.
        """
        self._start()
        try:
            self._connection.send(images)
        except OSError:
            raise WorkerDied(self._bury()) from None

    def receive(self) -> Result:
        """Wait for the next image's result; raises `WorkerDied` or `WorkerHung`."""
        try:
            if not self._connection.poll(_IMAGE_S):
                self._bury()
                raise WorkerHung(f"did not finish in {_IMAGE_S:.0f} s")
            facts = self._connection.recv()
            return (facts, None) if isinstance(facts, str) else (facts, self._connection.recv_bytes())
        except (EOFError, OSError):
            raise WorkerDied(self._bury()) from None

    def stop(self) -> None:
        """End the process for good."""
        with self._lock:
            self._stopped = True
            if self._process:
                self._process.kill()

    def close(self) -> None:
        """Free what the process held, after `stop`."""
        self._bury()

    def _launch(self) -> None:
        """Start the process without waiting for it."""
        with self._lock:
            if self._stopped:
                raise WorkerDied("stopped")
            if self._process:
                return
            self._connection, child = Pipe()
            # our own import path, and no thread pools of numpy's in every worker
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
            given = f"{child.fileno()}, {self._preprocess.to_json()!r}, {self._preprocess.draft}"
            code = f"from {__name__} import serve; serve({given})"
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", code],
                    stdin=subprocess.PIPE,  # never written: the child sees it close when this process is no more
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=environment,
                    pass_fds=(child.fileno(),),
                    process_group=0,  # Ctrl-C in the terminal is for the parent, even while the child starts
                )
            except OSError as error:
                raise ClipdbError(f"a decoding process could not be started ({error}): try --workers 0") from None
            finally:
                child.close()
            self._ready = False

    def _start(self) -> None:
        """Wait until the process has imported what it needs; one that is killed meanwhile is started anew."""
        for _ in range(_STARTS):
            self._launch()
            if not self._ready:
                with contextlib.suppress(EOFError, OSError):
                    self._ready = self._connection.poll(_START_S) and self._connection.recv_bytes() == b"ready"
            if self._ready:
                return
            assert self._process and self._process.stderr
            self._process.kill()
            lines = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            why = [self._bury(), *lines][-1]
            if lines:
                break
        raise ClipdbError(f"a decoding process could not be started ({why}): try --workers 0")

    def _bury(self) -> str:
        """End the process, free its pipes and say how it ended."""
        with self._lock:
            if not self._process:
                return "ended"
            self._process.kill()
            code = self._process.wait()
            self._connection.close()
            for pipe in (self._process.stdin, self._process.stderr):
                assert pipe
                pipe.close()
            self._process = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def serve(descriptor: int, preprocess: str, draft: bool) -> None:
    """Decode whatever comes through a descriptor, in the worker process, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Decoding runs ahead in what the model leaves: a model's thread that waits for a core holds up all its others.
    os.nice(10)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection, wanted = Connection(descriptor), replace(Preprocess.from_json(preprocess), draft=draft)
    connection.send_bytes(b"ready")
    # libtiff and others write warnings straight to stderr, across the parent's progress bar
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        while True:
            for image in connection.recv():
                facts, pixels = try_decode(image, wanted)
                connection.send(facts)
                if pixels is not None:
                    connection.send_bytes(pixels)
    except (EOFError, OSError):
        os._exit(0)


def _end_with_parent() -> None:
    """End this process as soon as the parent is gone, even amid a decode."""
    os.read(0, 1)
    os._exit(0)
