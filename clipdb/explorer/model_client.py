"""An index's models, run in a process of their own: torch never comes into the server."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, cast

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.models.text_shares import TextShares
from clipdb.schema.names import Head

PATIENCE_SECONDS = 0.8
"""How long a request waits for a model; after that its page says so, and asks again."""

IDLE_SECONDS = 600.0
"""Without a question, after which the process is stopped."""

_MOST_KEPT = 256  # answers
_TEXTS_AT = {"image": slice(0), "texts": slice(1, 2), "split": slice(1, 2), "segment": slice(2, 4)}  # of the arguments

Chosen = tuple[tuple[str, ...], str | None]
"""Names of heads, or none and the property that heads carry."""


class ModelBusy(ClipdbError):
    """A model is loading or at work: ask again in a moment."""

    def __init__(self, model: str) -> None:
        super().__init__(f"{model} is at work: the first time it has to be loaded, which may take 20 s", kind="busy")
        self.model = model


class Models:
    """Runs models on what an index lacks. It starts its process at the first question.

    Parameters
    ----------
    options
        What the process opens: arguments of `clipdb.api.opening.open`.
    idle_seconds
        How long the process stays without a question.
    """

    def __init__(self, options: Mapping[str, Any], idle_seconds: float = IDLE_SECONDS) -> None:
        self._options = dict(options)
        self._idle_seconds = idle_seconds
        self._one = ThreadPoolExecutor(1, thread_name_prefix="clipdb-models")
        self._asked: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._said: OrderedDict[str, list[str]] = OrderedDict()
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._timer: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def image(self, model_id: str, data: bytes, name: str) -> tuple[np.ndarray, float, dict[Head, np.ndarray]]:
        """Embed an image file's bytes: see `clipdb.models.embedder.Embedder.image`.

        Raises
        ------
        ModelBusy
            If the model needs longer.
        ClipdbError
            If they are no image, or the weights can't be had.
        """
        key = ("image", model_id, hashlib.sha256(data).digest())
        return cast("tuple[Any, float, Any]", self._answer(key, model_id, "image", model_id, data, name))

    def texts(self, model_id: str, texts: Sequence[str]) -> np.ndarray:
        """Embed texts as unit vectors, float32 ``[n, D]``.

        Raises
        ------
        ModelBusy
            If the model needs longer.
        ClipdbError
            If the weights can't be had.
        """
        return cast(np.ndarray, self._answer(("texts", model_id, *texts), model_id, "texts", model_id, list(texts)))

    def split_text(self, model_id: str, text: str, along: np.ndarray) -> TextShares:
        """Split the cosine of a text and a direction: see `clipdb.models.embedder.Embedder.split_text`.

        Raises
        ------
        ModelBusy
            If the model needs longer.
        ClipdbError
            If the weights can't be had, or the text tower's heads can't be read.
        """
        key = ("split", model_id, text, along.tobytes())
        return cast("TextShares", self._answer(key, model_id, "split", model_id, text, along))

    def segments(
        self, model_id: str, image: str, text: str, against: str | None, chosen: Sequence[Chosen]
    ) -> list[dict[str, Any]]:
        """Show where in a picture heads find a text, for one choice of heads after the other.

        Parameters
        ----------
        model_id, image, text, against
            See `clipdb.api.segmenting.segment`.
        chosen
            Each the names of heads, or none and the property that they carry.

        Returns
        -------
        list of dict
            ``plain`` and ``mapped``, the picture without and with the shares as WebP; ``heads``, how many; their share
            ``total`` of ``cosine``; and ``others``, the shares of the tokens that are no patch.

        Raises
        ------
        ModelBusy
            If the model needs longer.
        ClipdbError
            If something named isn't in the index, or the picture's file is gone.
        """
        asked = [(model_id, image, text, against, *one) for one in chosen]
        for one in asked:
            self._begun(("segment", *one), "segment", one)
        return [self._answer(("segment", *one), model_id, "segment", *one) for one in asked]

    def said(self, texts: Iterable[str]) -> list[str]:
        """Return what was said beside the results when these texts went through a model."""
        with self._lock:
            return list(dict.fromkeys(note for text in texts for note in self._said.get(text, ())))

    def close(self) -> None:
        """Stop the process."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        with self._starting:
            self._closed = True
            if self._process is not None:
                self._process.kill()  # what it computes is for nobody any more
        self._one.shutdown(cancel_futures=True)
        self._stop()

    def _answer(self, key: Hashable, model: str, operation: str, *arguments: Any) -> Any:
        try:
            return self._begun(key, operation, arguments).result(PATIENCE_SECONDS)
        except NotYet:
            raise ModelBusy(model) from None
        except BaseException:
            with self._lock:
                self._asked.pop(key, None)  # it is asked again, perhaps with another outcome
            raise

    def _begun(self, key: Hashable, operation: str, arguments: Sequence[Any]) -> Future[Any]:
        with self._lock:
            if key not in self._asked:
                self._asked[key] = self._one.submit(self._ask, operation, arguments)
            self._asked.move_to_end(key)
            future = self._asked[key]
            while len(self._asked) > _MOST_KEPT:
                self._asked.popitem(last=False)[1].cancel()
            return future

    def _ask(self, operation: str, arguments: Sequence[Any]) -> Any:
        """Ask the process; on the one thread that does so."""
        try:
            with self._starting:
                if self._closed:
                    raise ClipdbError("the explorer is stopping", kind="busy")
                if self.pid is None:
                    self._start()
            assert self._connection is not None
            self._connection.send((operation, arguments))
            answer, problem, notes = self._connection.recv()
        except (EOFError, OSError) as error:
            self._stop()
            raise ClipdbError("the process that runs the models ended: is there enough memory?") from error
        self._stop_later()
        if notes:
            self._note(notes, arguments[_TEXTS_AT[operation]])
        if problem is not None:
            raise ClipdbError(problem[0], kind=problem[1])
        return answer

    def _note(self, notes: list[str], texts: Sequence[Any]) -> None:
        with self._lock:
            for one in texts:
                for text in one if isinstance(one, list) else [one]:
                    self._said[text] = notes
            while len(self._said) > _MOST_KEPT:
                self._said.popitem(last=False)

    def _start(self) -> None:
        self._stop()
        ours, theirs = Pipe()
        program = [sys.executable, "-c", "import sys; sys.path[:] = sys.argv[2:]; "
                   "from clipdb.explorer.model_process import main; main()"]  # fmt: skip
        with theirs:
            self._process = subprocess.Popen(
                [*program, str(theirs.fileno()), *sys.path],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the server, which then stops this
            )
        self._connection = ours
        ours.send(self._options)

    def _stop_later(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._idle_seconds, self._stop_in_turn)
            self._timer.daemon = True
            self._timer.start()

    def _stop_in_turn(self) -> None:
        with suppress(RuntimeError):  # the server is ending, and stops it itself
            self._one.submit(self._stop)

    def _stop(self) -> None:
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()
