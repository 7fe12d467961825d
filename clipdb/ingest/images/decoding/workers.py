"""Decodes batches of images in worker processes that may die without taking the run with them.

Each worker has a thread here that feeds it and awaits its results one image at a time, so that a worker that
dies is noticed at the image it died on, and no other image is lost.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from clipdb.errors import ClipdbError
from clipdb.ingest.images.decoding.worker_process import Result, Worker, WorkerDied, WorkerHung, try_decode
from clipdb.models.preprocess import ImageFacts, Preprocess

# what a worker takes at a time: a batch is shared among all workers, and their memory stays small
_CHUNK = 16
_CHUNK_BYTES = 32 * 2**20
Room = Callable[[tuple[int, ...]], np.ndarray]

_LIVES = 3  # an image is given up when so many workers died on it; others may have been killed from outside


def _room(shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.uint8)


@dataclass(frozen=True, eq=False)
class DecodedBatch:
    """A batch, decoded.

    Parameters
    ----------
    pixels
        uint8 ``[n_ok, *Preprocess.shape]``: the images that could be decoded, in the order in which they were given.
        An array, or a tensor on the device that decoded them.
    decoded
        For each image given, its `ImageFacts`, or why it could not be decoded.
    """

    pixels: Any
    decoded: list[ImageFacts | str]


class DecodePool:
    """Decodes batches in `workers` processes; with 0, in threads of this one.

    Use it as a context manager: leaving it stops the workers and cancels the batches that are not done. Threads
    start at once, but a decoder that crashes takes this process with it. How many batches wait at a time is up
    to the caller.

    Parameters
    ----------
    preprocess
        What the model wants.
    workers
        Number of processes, 0 for threads (one per core).
    room
        Makes the arrays that pixels are put into, uint8 of a shape.

    Raises
    ------
    ClipdbError
        When `workers` is negative.
    """

    def __init__(self, preprocess: Preprocess, workers: int, room: Room = _room) -> None:
        if workers < 0:
            raise ClipdbError(f"{workers} workers: give 0 (threads of this process) or a number of processes")
        self._preprocess, self._room = preprocess, room
        self._closed = False
        self._queue: queue.SimpleQueue[tuple[_Batch, range] | None] = queue.SimpleQueue()
        self._workers = [Worker(preprocess) for _ in range(workers)]
        self._threads = [threading.Thread(target=self._feed, args=(worker,), daemon=True) for worker in self._workers]
        if not workers:
            self._threads = [
                threading.Thread(target=self._decode_here, daemon=True) for _ in range(os.cpu_count() or 1)
            ]
        for thread in self._threads:
            thread.start()

    def submit(self, images: Sequence[bytes]) -> Future[DecodedBatch]:
        """Decode a batch in the background.

        Parameters
        ----------
        images
            The bytes of each image file.

        Returns
        -------
        Future[DecodedBatch]
            Raises ClipdbError when workers cannot be started.
        """
        if self._closed:
            raise ClipdbError("the decoding pool is closed")
        batch = _Batch(images, self._room((len(images), *self._preprocess.shape)))
        start = size = 0
        for index, image in enumerate(images):
            if index - start == _CHUNK or (size + len(image) > _CHUNK_BYTES and index > start):
                self._queue.put((batch, range(start, index)))
                start, size = index, 0
            size += len(image)
        self._queue.put((batch, range(start, len(images))))
        return batch.future

    def close(self) -> None:
        """Stop the workers, and cancel what is not decoded."""
        self._closed = True
        for worker in self._workers:
            worker.stop()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode_here(self) -> None:
        """Decode chunks in this thread."""
        while task := self._queue.get():
            batch, indices = task
            try:
                for index in indices:
                    if self._closed:
                        batch.future.cancel()
                        break
                    batch.put(index, try_decode(batch.images[index], self._preprocess))
            except Exception as error:  # as below
                batch.fail(error)

    def _feed(self, worker: Worker) -> None:
        """Hand chunks to one worker, and what was left of a chunk to its successor when it dies."""
        while task := self._queue.get():
            batch, indices = task
            todo, deaths = list(indices), 0
            while todo and not self._closed:
                try:
                    worker.send([batch.images[index] for index in todo])
                    while todo:
                        batch.put(todo[0], worker.receive())
                        del todo[0]
                        deaths = 0
                except WorkerHung as hang:
                    batch.put(todo.pop(0), (f"the decoder {hang}", None))
                except WorkerDied as death:
                    deaths += 1
                    if deaths == _LIVES and not self._closed:
                        batch.put(todo.pop(0), (f"the decoder crashed on it {_LIVES} times ({death})", None))
                        deaths = 0
                except Exception as error:  # a thread that ended would leave its callers waiting for ever
                    worker.close()
                    batch.fail(error)
                    break
            if todo and self._closed:
                batch.future.cancel()
        worker.close()


class _Batch:
    """A batch on its way: gathers results until none is missing, then answers its future."""

    def __init__(self, images: Sequence[bytes], pixels: np.ndarray) -> None:
        self.future: Future[DecodedBatch] = Future()
        self.images = list(images)
        self._pixels = pixels
        self._decoded: list[ImageFacts | str] = [""] * len(images)
        self._missing = len(images)
        self._lock = threading.Lock()
        if not images:
            self._finish()

    def put(self, index: int, result: Result) -> None:
        """Take in one image's result, and let go of its bytes."""
        self.images[index] = b""
        self._decoded[index], pixels = result
        if pixels is not None:
            self._pixels[index] = np.frombuffer(pixels, np.uint8).reshape(self._pixels.shape[1:])
        with self._lock:
            self._missing -= 1
            last = not self._missing
        if last:
            self._finish()

    def _finish(self) -> None:
        good = [not isinstance(result, str) for result in self._decoded]
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(DecodedBatch(self._pixels if all(good) else self._pixels[good], self._decoded))

    def fail(self, error: Exception) -> None:
        """Answer the future with an error, once."""
        with self._lock:
            if not self.future.done() and self.future.set_running_or_notify_cancel():
                self.future.set_exception(error)
