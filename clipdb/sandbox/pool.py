"""A sandbox: processes that answer strangers' SQL, one of them always ready."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import TracebackType

from clipdb.errors import ClipdbError
from clipdb.sandbox.worker import Answer, Worker
from clipdb.schema.names import is_url
from clipdb.schema.vectors_place import has_vectors_in_store


class Sandbox:
    """An index or an export that strangers may ask in SQL.

    Each question is one SELECT and runs in a process of its own, which reads nothing but the index, writes nothing, has
    no environment and no models, and is killed when it takes too much. Threads may ask at once.

    Parameters
    ----------
    index
        The directory of an index or of an export.
    model
        The model that ``image_vectors`` and ``text_vectors`` stand for in SQL; not needed where there is one.
    at_once
        How many questions may run at once; others wait. Each may take a core, and 2 GB.
    spare
        Whether a process more than are in use is kept ready, so that nobody waits for one to start.

    Raises
    ------
    ClipdbError
        If the index is a URL, or this system is not Linux.

    Examples
    --------
    >>> from clipdb.sandbox import Sandbox
    >>> with Sandbox("mine.clipdb") as sandbox:
    ...     sandbox.ask("select count(*) as images from images").rows
    [(12,)]
    """

    def __init__(self, index: str | Path, model: str | None = None, at_once: int = 4, spare: bool = True) -> None:
        if is_url(index):
            raise ClipdbError(f"{index} is a URL, and untrusted SQL has no network: get the export and name its folder")
        if has_vectors_in_store(index):
            raise ClipdbError(f"the vectors of {index} are in a store, and untrusted SQL has no network")
        if sys.platform != "linux":  # others don't hold a process to its memory, nor tell how much it has
            raise ClipdbError("untrusted SQL runs on Linux only")
        self._path = Path(index).absolute()
        self._model = model
        self._spare = spare
        self._turns = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._idle = [self._start()]
        self._closed = False

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; nothing can be asked any more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    def ask(self, sql: str) -> Answer:
        """Ask in SQL, of the index's newest state.

        Parameters
        ----------
        sql
            One SELECT, which names tables, views and vectors of the index, clipdb's table functions, and most functions
            of DuckDB.

        Raises
        ------
        ClipdbError
            If the SQL is refused, fails or takes too much; one line says which.
        """
        with self._turns:
            worker = self._take()
            try:
                return worker.ask(sql)
            finally:
                self._give_back(worker)

    def _start(self) -> Worker:
        return Worker(self._path, self._model)

    def _take(self) -> Worker:
        with self._lock:
            if self._closed:
                raise ClipdbError("the sandbox is closed")
            for worker in [worker for worker in self._idle if not worker.usable]:
                self._idle.remove(worker)
                worker.end()
            worker = self._idle.pop() if self._idle else self._start()
            if self._spare and not self._idle:
                self._idle.append(self._start())
            return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.usable and not self._closed:
                self._idle.append(worker)
                return
        worker.end()
