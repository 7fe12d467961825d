"""An index in an object store, read where it is: its catalog is downloaded, its vectors are not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clipdb.errors import ClipdbError
from clipdb.schema import catalog
from clipdb.schema.published import Local, get_newest, read_published
from clipdb.stores.address import StoreAddress
from clipdb.stores.failures import explained, is_of_lance

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from clipdb.queries.vectors.vector_tables import Vectors

_ASKED_EVERY = 10.0  # seconds between two looks for a newer state, each of which is a request


class InStore:
    """An index in a store.

    Parameters
    ----------
    index
        Where it is.
    local
        Which state of it: its catalog.

    Raises
    ------
    ClipdbError
        If the catalog can't be read, or is of another schema version.
    """

    def __init__(self, index: StoreAddress, local: Local) -> None:
        self._index = index
        self._local = local
        self._asked, self._stale = time.monotonic(), False
        self.connection = catalog.connect_downloaded(index, self._local.file)

    @property
    def stale(self) -> bool:
        """Whether a newer state has been published; asked at most every ten seconds, and False if the store fails."""
        if not self._stale and time.monotonic() - self._asked >= _ASKED_EVERY:
            self._asked = time.monotonic()
            try:
                published = read_published(self._index)
            except ClipdbError:
                return False
            self._stale = published is not None and published.newest.catalog != self._local.state.catalog
        return self._stale

    def newest(self) -> InStore:
        """Open the newest state."""
        return InStore(self._index, get_newest(self._index) or self._local)

    def make_views(self, statement: str | None) -> bool:
        """Return False: a catalog has its views."""
        return False

    def again(self) -> InStore:
        """Return the same state with a connection of its own."""
        return InStore(self._index, self._local)

    def close(self) -> None:
        """Close the connection; the catalog goes from the disk when nobody has it open."""
        self.connection.close()

    def vectors(self) -> Vectors:
        """Return its Lance tables."""
        from clipdb.queries.vectors.lance_tables import LanceVectors

        return LanceVectors(self._index, self.connection)

    def thumbnails(self, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return nothing: only exports have small pictures."""
        return {}

    def engine(self) -> Engine:
        """Make a SQLAlchemy engine over the catalog."""
        from clipdb.schema.engine import engine_on

        return engine_on(lambda: catalog.connect_downloaded(self._index, self._local.file))

    def is_about(self, error: Exception) -> bool:
        """Return whether its vectors can't be read; what DuckDB says of the catalog speaks for itself."""
        return is_of_lance(error)

    def unreadable(self, error: Exception) -> ClipdbError:
        """Return, in one line, why its vectors or its catalog can't be read."""
        return explained(self._index, error) if self.is_about(error) else catalog.unreadable(self._index, error)
