"""An actor: it reads shards window by window, embeds what the driver wants of them, and writes fragments."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from lance.fragment import write_fragments

from clipdb._util.disk import sync
from clipdb.errors import ClipdbError
from clipdb.ingest.images.cluster.nodes import require_seen
from clipdb.ingest.images.cluster.protocol import Answer, Look, Ready, Stored, Task
from clipdb.ingest.images.embedded import Embedded, vector_rows
from clipdb.ingest.images.embedding import Embedding, source_facts
from clipdb.ingest.images.sources import Source, SourceItem
from clipdb.ingest.images.stream import READERS, Candidate, Chunk, read_item
from clipdb.ingest.store.table_folder import fragment_files
from clipdb.ingest.store.vector_table import with_batch
from clipdb.models.decomposition import Decomposer
from clipdb.models.loading import device_name, load
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import lance_options
from clipdb.stores.failures import reaching

WINDOW_BATCHES = 4
WINDOW_BYTES = 256 * 2**20

Read = tuple[SourceItem, bytes | str]
"""An image, and its bytes or why there are none."""


class EmbeddingActor:
    """Embed what the driver wants.

    `look` and `embed` run in threads of their own: the next window is read and decoded while the model runs.
    """

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(READERS)
        self._items: Iterator[SourceItem] = iter(())
        self._windows: dict[int, list[tuple[str | None, Read]]] = {}
        self._turn = threading.Condition()
        self._embedded = 0

    def load(self, task: Task) -> Ready:
        """Load the model.

        Raises
        ------
        ClipdbError
            If this node doesn't see what it has to, can't load the model, or has another under its name.
        """
        node = platform.node()
        require_seen(node, task.marker, task.sources)
        torch.set_num_threads(task.threads)
        model, options = task.model, task.options
        try:
            loaded = load(model.model_id, model.checkpoint, options.device, options.precision, model.config)
        except ClipdbError as error:
            raise ClipdbError(f"on the node {node}: {error}", kind=error.kind) from error
        if loaded.weights_sha256 != task.weights_sha256:
            raise ClipdbError(
                f"the node {node} has other weights of {model.model_id}: copy those of this machine there"
            )
        self._task, self._model = task, loaded
        self._decomposer = Decomposer(loaded.adapter, task.layers, task.bases, task.components)
        self._embedding = Embedding(loaded, self._decomposer, task.cut, options)
        self._decoders = options.decoders(loaded.preprocess, loaded.device)
        self._batch_size = options.batch_on(loaded.device)
        return Ready(node, os.getpid(), loaded.device.type, device_name(loaded.device))

    def look(self, ticket: int, source: Source | None, start: int) -> Look:
        """Read the next window of a shard, of another one from a place on if there is a ``source``."""
        if source is not None:
            self._source, self._items = source, itertools.islice(source, start, None)
        window: list[tuple[str | None, Read]] = []
        size, last = 0, False
        while len(window) < WINDOW_BATCHES * self._batch_size and size < WINDOW_BYTES and not last:
            items = list(itertools.islice(self._items, self._batch_size))
            last = len(items) < self._batch_size
            for item, (content, image_id) in zip(items, self._readers.map(_read_hashed, items), strict=True):
                size += len(content)
                window.append((image_id, (replace(item, read=bytes), content)))  # or the item would hold its bytes, too
        self._windows[ticket] = window
        return Look([image_id for image_id, _ in window], last, self._source.left_out if last else 0)

    def embed(self, ticket: int, answer: Answer) -> Stored:
        """Embed what is wanted of a window and write it."""
        stored = Stored(answer.batch, answer.again)
        fresh, copies = self._sift(self._windows.pop(ticket), answer, stored)
        batches = [fresh[at : at + self._batch_size] for at in range(0, len(fresh), self._batch_size)]
        decoded = [self._decoders.submit([content for _, content in batch]) for batch in batches]
        with self._turn:
            self._turn.wait_for(lambda: self._embedded == answer.order)
        try:
            embedded = []
            for batch, coming in zip(batches, decoded, strict=True):
                chunk, pixels = Chunk(), coming.result()
                chunk.pixels = pixels.pixels
                for (candidate, _), facts in zip(batch, pixels.decoded, strict=True):
                    same = copies.get(candidate.image_id, [])
                    if isinstance(facts, str):
                        stored.broken[candidate.image_id] = facts
                        stored.failures += [(one.item.uri, facts) for one in (candidate, *same)]
                    else:
                        chunk.candidates.append(candidate)
                        chunk.facts.append(facts)
                        stored.skipped += [source_facts(one, self._task.options) for one in same]
                if chunk.candidates:
                    rows, failures = self._embedding(chunk)
                    embedded.append(rows)
                    stored.failures += failures
            self._write(embedded, stored)
        finally:
            with self._turn:
                self._embedded += 1
                self._turn.notify_all()
        stored.error = self._embedding.error
        return stored

    def _sift(
        self, window: list[tuple[str | None, Read]], answer: Answer, stored: Stored
    ) -> tuple[list[tuple[Candidate, bytes]], dict[str, list[Candidate]]]:
        """Return what is embedded of a window, and further copies of that; note what isn't."""
        fresh: list[tuple[Candidate, bytes]] = []
        copies: dict[str, list[Candidate]] = {}
        for image_id, (item, content) in window:
            if image_id is None or isinstance(content, str):
                stored.failures.append((item.uri, str(content)))
            elif image_id in answer.broken:
                stored.failures.append((item.uri, answer.broken[image_id]))
            elif image_id not in answer.wanted:
                stored.skipped.append(source_facts(Candidate(item, image_id), self._task.options))
            elif image_id in copies:
                copies[image_id].append(Candidate(item, image_id))
            else:
                copies[image_id] = []
                fresh.append((Candidate(item, image_id), content))
        return fresh, copies

    def _write(self, embedded: list[Embedded], stored: Stored) -> None:
        """Write vectors as fragments, and have the disk keep them; those of known images are returned."""
        stored.rows = [row for one in embedded for row in one.rows]
        stored.losses = [one.loss for one in embedded if one.loss is not None]
        if not stored.rows:
            return
        task = self._task
        vectors = vector_rows(embedded, self._decomposer, task.cut.bases)
        if stored.again:
            stored.vectors = vectors
            return
        vectors = with_batch(vectors, task.run, stored.batch).select(task.schema.names)
        if isinstance(task.table, StoreAddress):
            with reaching(task.table, "writing"):
                options = lance_options(task.table, writes=True)
                stored.fragments = write_fragments(vectors, str(task.table), mode="append", storage_options=options)
            return
        stored.fragments = write_fragments(vectors, str(task.table), mode="append")
        files = fragment_files(task.table, stored.fragments)
        for path in (*files, *{file.parent for file in files}):
            sync(path)


def _read_hashed(item: SourceItem) -> tuple[bytes | str, str | None]:
    """Read one item and hash it; a failure is its reason."""
    content = read_item(item)
    return content, None if isinstance(content, str) else hashlib.sha256(content).hexdigest()
