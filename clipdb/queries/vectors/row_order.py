"""In which order the rows of a table of vectors count: that of their ids, whatever order the table has them in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clipdb._util.half_floats import widened
from clipdb.queries.vectors.vector_columns import ascending, ascii_ids, dense
from clipdb.queries.vectors.vector_tables import Table


@dataclass(frozen=True)
class RowOrder:
    """The order of a table's rows.

    Attributes
    ----------
    ids
        Ascending, ASCII bytes ``[n]``.
    in_table
        Each one's row in the table ``[n]``.
    """

    ids: np.ndarray
    in_table: np.ndarray

    @classmethod
    def of(cls, table: Table, key: str) -> RowOrder:
        """Read the ids of a table, a column of this name."""
        ids = ascii_ids(table.to_table(columns=[key]).column(key))
        order = ascending(ids)
        return cls(ids[order], order)

    @cached_property
    def by_table(self) -> np.ndarray:
        """For each row of the table its row in this order ``[n]``."""
        rows = np.empty(len(self.in_table), np.intp)
        rows[self.in_table] = np.arange(len(rows))
        return rows

    def read(self, table: Table, names: list[str], kind: type[np.floating]) -> list[np.ndarray]:
        """Read columns of vectors in one pass over the table, as float16 or float32 ``[n, k]`` in this order.

        No more than a batch of a column is held beside what is returned.
        """
        sizes = [table.schema.field(name).type.list_size for name in names]
        found = [np.empty((len(self.ids), size), kind) for size in sizes]
        start = 0
        for batch in table.to_batches(columns=names):
            rows = self.by_table[start : start + len(batch)]
            start += len(batch)
            for name, into in zip(names, found, strict=True):
                values = dense(batch.column(name))
                into[rows] = widened(values) if kind is np.float32 else values
        return found
