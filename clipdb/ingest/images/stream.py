"""From sources to batches of new, decoded images: reading, hashing and decoding run ahead of the model."""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from clipdb.ingest.images.decoding.workers import DecodedBatch
from clipdb.ingest.images.sources import SourceItem
from clipdb.ingest.images.sources.item import reason
from clipdb.models.preprocess import ImageFacts
from clipdb.stores.failures import StoreFailed

READERS = 4
LOOKAHEAD = 3


class Decoders(Protocol):
    """Decodes batches of image files in the background."""

    def submit(self, images: Sequence[bytes]) -> Future[DecodedBatch]:
        """Decode a batch."""


@dataclass(frozen=True)
class Candidate:
    """An image of a source that the index lacks: where it is from, and its id."""

    item: SourceItem
    image_id: str


@dataclass
class Chunk:
    """What the stream has found since the last chunk.

    Attributes
    ----------
    candidates, facts, pixels
        New images that were decoded: one entry each, and pixels uint8 ``[n, *Preprocess.shape]``, an array or a tensor.
    failures
        ``(uri, reason)`` of files that could not be read or decoded.
    skipped
        Images that were known.
    """

    candidates: list[Candidate] = field(default_factory=list)
    facts: list[ImageFacts] = field(default_factory=list)
    pixels: Any = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    failures: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Candidate] = field(default_factory=list)


@dataclass
class _Pending:
    candidates: list[Candidate]
    decoded: Future[DecodedBatch] | None
    failures: list[tuple[str, str]]
    skipped: list[Candidate]


@dataclass
class _UnderWay:
    """An image that is not committed yet, and where it was met again before it was decoded."""

    decoded: bool = False
    copies: list[Candidate] = field(default_factory=list)


class ImageStream:
    """Read sources in the background and yield what is new.

    Bytes are read once: their SHA-256 is the image's id, and only those of unknown images go on to the decoders. At
    most a few batches are under way, so memory doesn't grow with the sources.

    Parameters
    ----------
    sources
        Images to read.
    decoders
        What decodes.
    is_known
        Says which of some ids the index has.
    batch_size
        Images a chunk.
    """

    def __init__(
        self,
        sources: Iterable[SourceItem],
        decoders: Decoders,
        is_known: Callable[[Sequence[str]], set[str]],
        batch_size: int,
    ) -> None:
        self._sources = sources
        self._decoders = decoders
        self._is_known = is_known
        self._batch_size = batch_size
        self._lock = threading.Lock()
        self._under_way: dict[str, _UnderWay] = {}
        self._broken: dict[str, str] = {}
        self._queue: queue.Queue[_Pending | Exception | None] = queue.Queue(LOOKAHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="clipdb-reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            self._thread.join(timeout=0.1)

    def __iter__(self) -> Iterator[Chunk]:
        while (pending := self._queue.get()) is not None:
            if isinstance(pending, Exception):
                raise pending
            yield self._finish(pending)

    def committed(self, ids: Iterable[str]) -> None:
        """Record that images are in the index, so that from now on ``is_known`` answers for them."""
        with self._lock:
            for image_id in ids:
                self._under_way.pop(image_id, None)

    def _finish(self, pending: _Pending) -> Chunk:
        chunk = Chunk(failures=pending.failures, skipped=pending.skipped)
        if pending.decoded is not None:
            batch = pending.decoded.result()
            chunk.pixels = batch.pixels
            for candidate, facts in zip(pending.candidates, batch.decoded, strict=True):
                copies = self._decoded(candidate.image_id, facts)
                if isinstance(facts, str):
                    chunk.failures += [(one.item.uri, facts) for one in (candidate, *copies)]
                else:
                    chunk.candidates.append(candidate)
                    chunk.facts.append(facts)
                    chunk.skipped += copies
        return chunk

    def _decoded(self, image_id: str, facts: ImageFacts | str) -> list[Candidate]:
        """Note how decoding ended, and return the copies that share its end."""
        with self._lock:
            image = self._under_way[image_id]
            image.decoded = True
            if isinstance(facts, str):
                self._broken[image_id] = facts
                del self._under_way[image_id]
            return image.copies

    def _produce(self) -> None:
        waiting: list[tuple[Candidate, bytes]] = []
        try:
            with ThreadPoolExecutor(READERS) as readers:
                items = iter(self._sources)
                while batch := list(itertools.islice(items, self._batch_size)):
                    fresh, failures, skipped = self._sift(batch, readers.map(read_item, batch))
                    waiting += fresh
                    if failures or skipped:
                        self._put(_Pending([], None, failures, skipped))
                    while len(waiting) >= self._batch_size:
                        self._submit(waiting[: self._batch_size])
                        del waiting[: self._batch_size]
                    if self._stopped.is_set():
                        return
                if waiting:
                    self._submit(waiting)
                self._put(None)
        except Exception as error:  # re-raised where the stream is read
            self._put(error)

    def _sift(
        self, items: Sequence[SourceItem], contents: Iterable[bytes | str]
    ) -> tuple[list[tuple[Candidate, bytes]], list[tuple[str, str]], list[Candidate]]:
        """Distinguish new images from known ones and from files that can't be read."""
        read: list[tuple[Candidate, bytes]] = []
        failures: list[tuple[str, str]] = []
        for item, content in zip(items, contents, strict=True):
            if isinstance(content, str):
                failures.append((item.uri, content))
            else:
                read.append((Candidate(item, hashlib.sha256(content).hexdigest()), content))
        # First what is under way, then what is stored: in the other order an image committed in between is neither.
        with self._lock:
            under_way = set(self._under_way)
        known = under_way | self._is_known([candidate.image_id for candidate, _ in read])
        fresh, skipped = [], []
        with self._lock:
            for candidate, content in read:
                image_id = candidate.image_id
                image = self._under_way.get(image_id)
                if image is not None and not image.decoded:
                    image.copies.append(candidate)
                elif image_id in self._broken:
                    failures.append((candidate.item.uri, self._broken[image_id]))
                elif image is not None or image_id in known:
                    skipped.append(candidate)
                else:
                    self._under_way[image_id] = _UnderWay()
                    fresh.append((candidate, content))
        return fresh, failures, skipped

    def _submit(self, images: Sequence[tuple[Candidate, bytes]]) -> None:
        decoded = self._decoders.submit([content for _, content in images])
        self._put(_Pending([candidate for candidate, _ in images], decoded, [], []))

    def _put(self, message: _Pending | Exception | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._queue.put(message, timeout=0.1)
            except queue.Full:
                continue


def read_item(item: SourceItem) -> bytes | str:
    """Read one item; a failure is its reason."""
    try:
        return item.read()
    except StoreFailed:  # it isn't about this image, and the run can be resumed
        raise
    except Exception as error:  # damaged archives raise nearly anything
        return reason(error)
