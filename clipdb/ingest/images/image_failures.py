"""Images that could not be read, in the table ``image_failures``."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer


class Failures:
    """What this run could not read, and what an earlier one could not and this one can.

    Parameters
    ----------
    writer
        The writer that holds the index; it counts what is added.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._before = {row[0] for row in writer.read("select uri from image_failures")}
        self._mended: list[str] = []
        self.reasons: dict[str, str] = {}

    def add(self, uri: str, reason: str) -> None:
        """Take an image that can't be used."""
        self.reasons[uri] = reason
        self._writer.failed += 1

    def mend(self, uris: Iterable[str]) -> None:
        """Take images that are in the index, whether or not they failed before."""
        self._mended += self._before.intersection(uris)

    @property
    def waiting(self) -> bool:
        """Whether there is anything to record."""
        return bool(self.reasons or self._mended)

    def record(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what has come since the last call."""
        connection.execute("delete from image_failures where uri in (select unnest(?::text[]))", [self._mended])
        rows = [{"uri": uri, "error": reason, "run": self._writer.run} for uri, reason in self.reasons.items()]
        put(connection, "image_failures", rows, replace=True)
        self.reasons, self._mended = {}, []
