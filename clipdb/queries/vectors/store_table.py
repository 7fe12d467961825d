"""A Lance table in a store: as one on a disk, but what fails says why in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clipdb.errors import ClipdbError
from clipdb.stores.address import StoreAddress
from clipdb.stores.connecting import lance_options
from clipdb.stores.failures import insisting, require_bucket

if TYPE_CHECKING:
    import lance
    import pyarrow as pa

_ROWS_AT_ONCE = 16384


class StoreTable:
    """A Lance table in a store, at a version that never changes.

    Parameters
    ----------
    table
        Where it is.
    version
        Its version.
    remedy
        What to do where that version isn't there.

    Raises
    ------
    ClipdbError
        If it isn't there, or the store refuses or fails.
    """

    def __init__(self, table: StoreAddress, version: int, remedy: str) -> None:
        # Lance logs what breaks off, though it asks again; what fails in the end is said below.
        os.environ.setdefault("LANCE_LOG", "error")
        import lance  # half a second, which a question to relations doesn't need

        self._address = table

        def opened() -> lance.LanceDataset:
            try:
                return lance.dataset(str(table), version=version, storage_options=lance_options(table))
            except ValueError as error:
                if "was not found" not in str(error):
                    raise
                require_bucket(table)
                raise ClipdbError(
                    f"the vectors {table} are not at version {version} as the catalog says: {remedy}", kind="absent"
                ) from None

        self._table = insisting(table, opened)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._table.schema

    def count_rows(self) -> int:
        """Count the rows."""
        return insisting(self._address, self._table.count_rows)

    def to_table(self, columns: list[str], *, offset: int | None = None, limit: int | None = None) -> pa.Table:
        """Read some columns: see `clipdb.queries.vectors.vector_tables.Table`."""
        return insisting(self._address, lambda: self._table.to_table(columns, offset=offset, limit=limit))

    def to_batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns of all rows; where that breaks off, the rows at hand are asked for again."""
        for start in range(0, self.count_rows(), _ROWS_AT_ONCE):
            yield from self.to_table(columns, offset=start, limit=_ROWS_AT_ONCE).to_batches()

    def take(self, indices: list[int], columns: list[str]) -> pa.Table:
        """Read some columns of some rows."""
        return insisting(self._address, lambda: self._table.take(indices, columns))

    def scanner(self, **what: Any) -> lance.LanceScanner:
        """Scan the table, as DuckDB does; what fails then is DuckDB's to say."""
        return self._table.scanner(**what)
