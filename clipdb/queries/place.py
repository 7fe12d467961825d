"""Where an index's relations and vectors are: in a directory on disk, or in anything that offers the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import duckdb

from clipdb.errors import ClipdbError
from clipdb.schema import catalog, snapshots
from clipdb.schema.vectors_place import vectors_place

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clipdb.queries.vectors.vector_tables import Vectors


class Place(Protocol):
    """What holds the relations and vectors of an index."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The relations and views; whoever opened the place closes it."""

    @property
    def stale(self) -> bool:
        """Whether there is a newer state of it."""

    def newest(self) -> Place:
        """Open the newest state of it."""

    def make_views(self, statement: str | None) -> bool:
        """Make the views that a statement may read, or all of them; return whether any were lacking."""

    def again(self) -> Self:
        """Return the same state with a connection of its own."""

    def close(self) -> None:
        """Close the connection, and let go of the state that it had open."""

    def vectors(self) -> Vectors:
        """Return the tables of vectors."""

    def thumbnails(self, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return small pictures of images, by image_id, of those that have one."""

    def engine(self) -> Engine:
        """Make a SQLAlchemy engine over the relations."""

    def is_about(self, error: Exception) -> bool:
        """Return whether an error says that the place itself can't be read."""

    def unreadable(self, error: Exception) -> ClipdbError:
        """Return, in one line, why it can't be read."""


class OnDisk:
    """An index on disk.

    Parameters
    ----------
    path
        Its directory.
    snapshot
        Which state of it: the folder of a snapshot that is held already. Default: the newest.
    options
        What opens the store that its vectors are in, if they are in one.

    Raises
    ------
    ClipdbError
        If it is no index, or can't be opened.
    """

    def __init__(self, path: Path, snapshot: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._options = options
        self._snapshot = snapshot or snapshots.newest(path)
        self.connection = catalog.connect(path, snapshot)

    @property
    def stale(self) -> bool:
        """Whether a writer has published a newer snapshot."""
        return snapshots.newest(self._path) != self._snapshot

    def newest(self) -> OnDisk:
        """Open the newest snapshot."""
        return OnDisk(self._path, options=self._options)

    def make_views(self, statement: str | None) -> bool:
        """Return False: a catalog on disk has its views."""
        return False

    def again(self) -> OnDisk:
        """Return the same snapshot with a connection of its own."""
        return OnDisk(self._path, self._snapshot, self._options)

    def close(self) -> None:
        """Close the connection, and let go of its snapshot."""
        self.connection.close()
        catalog.release(self.connection)

    def vectors(self) -> Vectors:
        """Return its Lance tables."""
        from clipdb.queries.vectors.lance_tables import LanceVectors

        return LanceVectors(self._path, self.connection, self._options)

    def thumbnails(self, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return nothing: only exports have small pictures."""
        return {}

    def engine(self) -> Engine:
        """Make a SQLAlchemy engine over the catalog."""
        from clipdb.schema.engine import engine

        return engine(self._path)

    def is_about(self, error: Exception) -> bool:
        """Return whether its vectors can't be read; what DuckDB says of the catalog speaks for itself."""
        return self._unreadable_vectors(error) is not None

    def unreadable(self, error: Exception) -> ClipdbError:
        """Return, in one line, why its vectors or its catalog can't be read."""
        return self._unreadable_vectors(error) or catalog.unreadable(self._path, error)

    def _unreadable_vectors(self, error: Exception) -> ClipdbError | None:
        from clipdb.stores.failures import is_of_lance

        if not is_of_lance(error):
            return None
        from clipdb.schema.vectors import unreadable_vectors

        place = vectors_place(self._path, self.connection, self._options)
        return unreadable_vectors(self._path, place, error)
