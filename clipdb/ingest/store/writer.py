"""Write to an index: one writer, one run, transactions that readers see when they are published."""

from __future__ import annotations

import json
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from clipdb._util.text import without_login
from clipdb.errors import ClipdbError
from clipdb.ingest.store.disk_errors import disk_errors
from clipdb.ingest.store.lock import writer_lock
from clipdb.ingest.store.publishing import publish
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.table_folder import delete_table, make_place, require_free
from clipdb.schema import catalog, creation, snapshots
from clipdb.schema.connections import closing
from clipdb.schema.names import VECTORS
from clipdb.schema.vectors import unreadable_vectors
from clipdb.schema.vectors_place import VectorsPlace, vectors_place

# How many times longer than a publication takes, committed work waits for the next: at most a twentieth of a run.
PUBLISH_EVERY = 20.0
PACKAGES = ("clipdb", "duckdb", "pylance", "torch", "open_clip_torch", "transformers")


class Reader:
    """The catalog of an index, opened for a moment at a time.

    Parameters
    ----------
    index
        Directory of the index.
    """

    def __init__(self, index: Path) -> None:
        self.index = index

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one query on the catalog."""
        with closing(self.connect()) as connection:
            return connection.execute(sql, list(parameters)).fetchall()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open the catalog; the caller closes it."""
        return catalog.connect(self.index)

    def models(self, chosen: str | None = None) -> list[str]:
        """List the models of the index that have image vectors, or check that one is among them.

        Raises
        ------
        ClipdbError
            If the index has none, or not the chosen one.
        """
        known = [row[0] for row in self.read("select distinct model_id from batches where kind = 'images' order by 1")]
        if not known:
            raise ClipdbError(
                f"{self.index} has no images yet: run `clipdb ingest images SRC --model ARCH/PRETRAINED`", kind="absent"
            )
        if chosen is not None and chosen not in known:
            raise ClipdbError(f"{self.index} has no images of model {chosen}: it has {', '.join(known)}", kind="absent")
        return known if chosen is None else [chosen]


class Writer(Reader):
    """The one process that writes to an index, and the run that it records.

    Parameters
    ----------
    index
        Directory of the index; it is made if it doesn't exist, and taken away again if the run commits nothing.
    command
        Verb that writes, for the table ``runs``.
    arguments
        Its arguments, as JSON can hold them.
    create
        Whether a missing index is made.
    vectors
        Where a new index keeps its vectors, if not in its directory; what one that is there already has to have.
    empty_run
        Whether a run that commits nothing is recorded.

    Attributes
    ----------
    run
        Id of the run.
    made
        Whether this writer made the index.
    vectors
        The folder of the index's Lance tables.
    added, skipped, failed, device
        What the run's row says; set as the work goes on.
    fragments_under_way
        Whether other processes write fragments of the Lance tables, so that nothing of those is cleaned up.

    Raises
    ------
    ClipdbError
        On entering: no index (and not ``create``), another writer, or a catalog that can't be opened.
    """

    def __init__(
        self,
        index: Path,
        command: str,
        arguments: Mapping[str, Any],
        create: bool = False,
        empty_run: bool = True,
        vectors: VectorsPlace | None = None,
    ) -> None:
        super().__init__(index)
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(2)}"
        self.device: str | None = None
        self.added = self.skipped = self.failed = 0
        self.fragments_under_way = False
        self._row: dict[str, Any] = {
            "run": self.run,
            "command": command,
            "arguments": without_login(json.dumps(arguments, default=str)),
            "versions": json.dumps(_versions()),
            "started_at": datetime.now(UTC),
            "finished_at": None,
        }
        self._create, self._empty_run, self._wanted = create, empty_run, vectors
        self.made = False
        self.vectors: VectorsPlace = index / VECTORS
        self._committed = False
        self._held = ExitStack()
        self._opening = threading.Lock()
        self._work: duckdb.DuckDBPyConnection | None = None
        self._published = True
        self._published_at, self._cost = time.monotonic(), 0.05  # seconds; a small catalog's, until one was published

    def __enter__(self) -> Self:
        if self._create and not catalog.exists(self.index):
            if self._wanted is not None:
                creation.require_free(self.index)
                require_free(self._wanted)
                make_place(self._wanted)
            creation.create(self.index, self._wanted)
            self.made = True
        catalog.require_index(self.index)
        with ExitStack() as held:
            held.enter_context(writer_lock(self.index))
            held.callback(self._discard)
            held.callback(self._close)
            if not snapshots.is_published(self.index):
                catalog.connect(self.index).close()  # readers' state may be damaged, which nothing may cover up
            with closing(self.connect()) as connection:  # fails before there is any work to lose
                self.vectors = vectors_place(self.index, connection)
            if self._wanted not in (None, self.vectors):
                raise ClipdbError(
                    f"the vectors of {self.index} are in {self.vectors} and stay there: leave --vectors out, or make "
                    "another index"
                )
            self._published = snapshots.is_published(self.index)  # not if its views were made anew just now
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if self._committed or (kind is None and self._empty_run and not self.made):
                self._row["finished_at"] = datetime.now(UTC) if kind is None else None
                with self.transaction():
                    pass  # which writes the run's row
            if not self._published and (self._committed or not self.made):  # it may be what a killed writer committed
                self._publish()
        if error is not None and (damaged := unreadable_vectors(self.index, self.vectors, error)):
            raise damaged from error

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the catalog for one transaction, which also brings the run's own row up to date.

        Raises
        ------
        ClipdbError
            If the disk is full.
        """
        try:
            with disk_errors(self.index), closing(self.connect()) as connection:
                connection.begin()
                yield connection
                counts = {
                    "added": self.added,
                    "skipped": self.skipped,
                    "failed": self.failed,
                    "device": self.device,
                }
                put(connection, "runs", [self._row | counts], replace=True)
                connection.commit()
        except BaseException:
            self._close()  # after a full disk DuckDB has to open the file again
            with suppress(duckdb.Error, ClipdbError):  # Ctrl-C may come before or after the commit
                ((self.added,),) = self.read("select coalesce(max(added), 0) from runs where run = ?", self.run)
            raise
        self._committed, self._published = True, False
        if time.monotonic() - self._published_at >= PUBLISH_EVERY * self._cost:
            self._publish()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Make a connection for one use; the file stays open, since opening it takes longer than most uses."""
        with self._opening:
            self._work = self._work or catalog.connect_writing(self.index)
            return self._work.cursor()

    def _close(self) -> None:
        with self._opening:
            if self._work is not None:
                self._work.close()
                self._work = None

    def _discard(self) -> None:
        """Delete an index that was made for this run, which has committed nothing.

        It stays where a store keeps what was written there: it knows whose that is, and the same command goes on.
        """
        if self.made and not self._committed:
            if self._wanted is not None:
                try:
                    delete_table(self._wanted)
                except ClipdbError:
                    return
            shutil.rmtree(self.index)

    def _publish(self) -> None:
        """Let readers see what is committed."""
        began = time.monotonic()
        with self._opening:
            work, self._work = self._work, None
        with disk_errors(self.index):
            publish(self.index, work or catalog.connect_writing(self.index), clean=not self.fragments_under_way)
        self._published, self._published_at = True, time.monotonic()
        self._cost = self._published_at - began


@cache
def _versions() -> Mapping[str, str]:
    """Read which versions are installed, once in a process: that takes 8 ms."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
