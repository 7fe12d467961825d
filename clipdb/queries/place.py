"""Where an index's relations and vectors are: in a directory on disk, or in anything that offers the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb

from clipdb.errors import ClipdbError
from clipdb.schema import catalog

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clipdb.queries.vectors.lance_tables import Vectors


class Place(Protocol):
    """What holds the relations and vectors of an index."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The relations and views; whoever opened the place closes it."""

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

    Raises
    ------
    ClipdbError
        If it is no index, or can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.connection = catalog.connect(path)

    def vectors(self) -> Vectors:
        """Return its Lance tables."""
        from clipdb.queries.vectors.lance_tables import LanceVectors

        return LanceVectors(self._path, self.connection)

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
        from clipdb.schema.vectors import unreadable_vectors

        return unreadable_vectors(self._path, error)
