"""Vectors of an index in memory: read when they are first asked for, in one row order for all of a model's heads."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar, cast

import numpy as np
import pyarrow as pa

from clipdb._util.half_floats import widened
from clipdb.errors import ClipdbError
from clipdb.queries.vectors.halves import Halves, Matrix, each_block
from clipdb.queries.vectors.kept import Kept, Thing
from clipdb.queries.vectors.row_order import RowOrder
from clipdb.queries.vectors.vector_columns import dense
from clipdb.queries.vectors.vector_tables import Key, Kind, Table, Vectors
from clipdb.schema.names import Head, head_column, head_name, layer_name
from clipdb.schema.vector_indexes import VectorIndex
from clipdb.schema.vectors import head_columns, part_columns

_SPARSE = 8  # rows of a table that are read for one that is wanted, at most: then each is sought by itself

_Made = TypeVar("_Made")
_Of = TypeVar("_Of")


class VectorStore:
    """Reads columns of vectors and keeps those used last.

    All matrices of one model and kind have the same rows: those of `ids`, ascending. They are float32, but for images
    that don't all fit into the memory that may be kept: those are `Halves`, in half the room.

    Parameters
    ----------
    vectors
        The vectors of an index or an artefact.
    cache_bytes
        How much to keep. A head of n images takes 4 n head_dim bytes, 13 MB for 51,200 images of 64 (as `Halves` half
        of that), and each measure of similarity that was asked for 4 n more.
    """

    def __init__(self, vectors: Vectors, cache_bytes: int) -> None:
        self._vectors = vectors
        self._keys = set(vectors.keys)
        self._tables: dict[Key, Table] = {}
        self._heads: dict[Key, list[Head]] = {}
        self._indexes: dict[str, dict[Head, tuple[VectorIndex, int]]] = {}
        self._orders: dict[Key, RowOrder] = {}
        self._kept = Kept(cache_bytes)

    def models(self, kind: Kind) -> list[str]:
        """List the models that have vectors of a kind."""
        return [model for model, k in self._vectors.keys if k == kind]

    def has(self, model: str, kind: Kind) -> bool:
        """Return whether a model has vectors of a kind."""
        return (model, kind) in self._keys

    def table(self, model: str, kind: Kind) -> Table:
        """Open a table of vectors.

        Raises
        ------
        ClipdbError
            If the index has no such vectors.
        """
        key = (model, kind)
        if key not in self._keys:
            verb = "clipdb ingest images SRC --model" if kind == "images" else "clipdb ingest texts FILE --pool NAME"
            raise ClipdbError(f"{model} has no {kind} in this index: run `{verb}`", kind="absent")
        return self._once(self._tables, key, lambda: self._vectors.open(model, kind))

    def heads(self, model: str, kind: Kind = "images") -> list[Head]:
        """List the heads that have vectors, in order of layer, then head."""
        if (model, kind) not in self._heads:
            self._heads[model, kind] = list(head_columns(self.table(model, kind).schema))
        return self._heads[model, kind]

    def require_head(self, model: str, head: Head, kind: Kind = "images") -> None:
        """Check that a head has vectors of a kind.

        Raises
        ------
        ClipdbError
            If not: the message says which layers have.
        """
        known = self.heads(model, kind)
        if head not in known:
            layers = sorted({layer for layer, _ in known})
            of_texts = " for texts" if kind == "texts" else ""
            raise ClipdbError(
                f"{model} has no vectors of head {head_name(*head)}{of_texts}: its layers here are "
                f"{', '.join(map(layer_name, layers))}, with {len(known) // len(layers)} heads each",
                kind="absent",
            )

    def ids(self, model: str, kind: Kind) -> np.ndarray:
        """Return the ids of a table's rows, ascending, as ASCII bytes ``[n]``."""
        return self._order(model, kind).ids

    def position(self, model: str, kind: Kind, whole_id: str) -> int | None:
        """Find an id's row; None where it has none."""
        ids, wanted = self.ids(model, kind), whole_id.encode()
        row = int(np.searchsorted(ids, wanted))
        return row if row < len(ids) and ids[row] == wanted else None

    def beginning(self, model: str, kind: Kind, start: str, most: int) -> list[str]:
        """List ids that begin so, ascending, at most so many."""
        ids, wanted = self.ids(model, kind), start.encode("ascii", "replace")
        if len(wanted) > ids.itemsize:  # with which NumPy would widen a copy of all ids
            return []
        row = int(np.searchsorted(ids, wanted))
        return [one.decode() for one in ids[row : row + most] if one.startswith(wanted)]

    def head(self, model: str, kind: Kind, head: Head) -> Matrix:
        """Return a head's vectors ``[n, head_dim]``; NaN where a row has none yet."""
        return self._column(model, kind, head_column(*head))

    def vector_index(self, model: str, head: Head) -> VectorIndex | None:
        """Return the vector index over a head's images, where it has one."""
        known = self._once(self._indexes, model, lambda: self._vectors.indexes(model))
        return known.get(head, (None, 0))[0]

    def of_rows(self, model: str, heads: Sequence[Head], rows: np.ndarray) -> list[np.ndarray]:
        """Return some images' vectors of some heads, float32 ``[m, k]`` each, without reading those of the others."""
        kept = [self._kept.get(("column", model, "images", head_column(*head))) for head in heads]
        if all(matrix is not None for matrix in kept):
            return [cast(Matrix, matrix)[rows] for matrix in kept]
        return [widened(values) for values in self.stored(model, heads, rows).values()]

    def together(self, model: str, heads: Sequence[Head]) -> list[Matrix]:
        """Return the images' vectors of several heads, each as `head` does; what isn't kept is read in one pass."""
        keys = {head: ("column", model, "images", head_column(*head)) for head in heads}
        with self._kept.lock:
            kept = {head: self._kept.get(key) for head, key in keys.items()}
            found = {head: cast(Matrix, matrix) for head, matrix in kept.items() if matrix is not None}
            missing = [head for head in keys if head not in found]
            if missing:
                read = self._read(model, "images", [head_column(*head) for head in missing])
                found |= zip(missing, read, strict=True)
            return [self.keep(key, partial(found.__getitem__, head)) for head, key in keys.items()]

    def each_block(
        self,
        model: str,
        heads: Sequence[Head],
        work: Callable[[slice | np.ndarray, Iterator[np.ndarray]], object],
        threads: bool = True,
        keep: bool = True,
    ) -> None:
        """Call a function with all images' vectors of several heads, some images at a time.

        Heads that don't fit into the cache together, or needn't be kept, are read from the table.

        Parameters
        ----------
        heads
            The heads.
        work
            Takes the rows, and their vectors of one head after the other, float32 ``[len(rows), k]``: each is there
            until the next one is asked for, and may not be changed. Several threads call it.
        threads
            Say False for products of two matrices: BLAS has threads of its own.
        """
        names = [head_column(*head) for head in heads]
        if self._fit(model, names) if keep else self._all_fit(model):
            each_block(self.together(model, heads), work, threads)
            return
        order, start = self._order(model, "images"), 0
        for batch in self.table(model, "images").to_batches(columns=names):
            rows = order.by_table[start : start + len(batch)]
            start += len(batch)
            work(rows, (widened(dense(column)) for column in batch.columns))

    def present(self, model: str, head: Head) -> np.ndarray:
        """Return which images have a vector of a head, bool ``[n]``; layers that were added later may have fewer."""
        return self.keep(("present", model, head), lambda: self._has_vectors(model, head))

    def by_table(self, model: str) -> np.ndarray:
        """Return for each row of the table of the images' vectors its row here ``[n]``."""
        return self._order(model, "images").by_table

    def in_table_order(self, model: str, rows: np.ndarray) -> np.ndarray:
        """Return the order ``[m]`` of some of the images' rows that `blocks` reads them quickest in."""
        return np.argsort(self._order(model, "images").in_table[rows])

    def block(self, model: str, heads: Sequence[Head], rows: np.ndarray) -> dict[Head, np.ndarray]:
        """Return some images' vectors of several heads, float32 ``[m, k]`` each.

        Heads that don't fit into the cache beside the embeddings, which whoever asks takes as well, are read from the
        table and not kept: all images pass in the memory of a block, if they come in the order of the table.

        Parameters
        ----------
        heads
            The heads, all of which these images have.
        rows
            Their rows ``[m]``.
        """
        if self._fit(model, ["embedding", *(head_column(*head) for head in heads)]):
            return {head: one[rows] for head, one in zip(heads, self.together(model, heads), strict=True)}
        return {head: widened(values) for head, values in self.stored(model, heads, rows).items()}

    def stored(self, model: str, heads: Sequence[Head], rows: np.ndarray) -> dict[Head, np.ndarray]:
        """Read some images' vectors of several heads from the table, as they are stored ``[m, k]``, and keep nothing.

        Parameters
        ----------
        heads
            The heads.
        rows
            The images' rows ``[m]``.
        """
        columns = {head: head_column(*head) for head in heads}
        table, at = self.table(model, "images"), self._order(model, "images").in_table[rows]
        first, last = int(at.min()), int(at.max())
        if last - first >= _SPARSE * len(at):
            found = table.take(at.tolist(), list(columns.values()))
            return {head: dense(found.column(name)) for head, name in columns.items()}
        found = table.to_table(list(columns.values()), offset=first, limit=last - first + 1)
        return {head: dense(found.column(name)).take(at - first, axis=0) for head, name in columns.items()}

    def embeddings(self, model: str, kind: Kind) -> Matrix:
        """Return the unit embeddings ``[n, D]``."""
        return self._column(model, kind, "embedding")

    def row(self, model: str, kind: Kind, position: int) -> tuple[np.ndarray, dict[Head, np.ndarray]]:
        """Read one row: its unit embedding ``[D]``, and the vectors ``[r]`` of heads and other components it has."""
        row_of_table = int(self._order(model, kind).in_table[position])
        table = self.table(model, kind)
        columns = part_columns(table.schema)
        row = table.take([row_of_table], columns=["embedding", *columns.values()])
        vectors = {
            head: row.column(name).combine_chunks().flatten().to_numpy().astype(np.float32)
            for head, name in columns.items()
            if row.column(name).null_count == 0
        }
        return row.column("embedding").combine_chunks().flatten().to_numpy().astype(np.float32), vectors

    def _order(self, model: str, kind: Kind) -> RowOrder:
        key = "image_id" if kind == "images" else "text_id"
        return self._once(self._orders, (model, kind), lambda: RowOrder.of(self.table(model, kind), key))

    def _once(self, made: dict[_Of, _Made], key: _Of, make: Callable[[], _Made]) -> _Made:
        """Return what is made when it is first asked for; then without the lock, which `keep` holds while it makes."""
        if key not in made:
            with self._kept.lock:
                if key not in made:
                    made[key] = make()
        return made[key]

    def keep(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """Return what was kept under a key, made when it is first asked for or was dropped since.

        Parameters
        ----------
        key
            A tuple that begins with the name of what it is.
        make
            Computes it from the vectors.
        """
        return self._kept.keep(key, make)

    @property
    def kept_bytes(self) -> int:
        """How much is kept."""
        return self._kept.nbytes

    def _column(self, model: str, kind: Kind, name: str) -> Matrix:
        return self.keep(("column", model, kind, name), lambda: self._read(model, kind, [name])[0])

    def _read(self, model: str, kind: Kind, names: list[str]) -> list[Matrix]:
        order, table = self._order(model, kind), self.table(model, kind)
        whole = kind == "texts" or self._all_fit(model)
        width = sum(table.schema.field(name).type.list_size for name in names)
        self._kept.make_room((4 if whole else 2) * len(order.ids) * width)
        if whole:
            return list(order.read(table, names, np.float32))
        # Images are stored in float16, even where an artefact gives the same numbers in float32.
        return [Halves(values) for values in order.read(table, names, np.float16)]

    def _has_vectors(self, model: str, head: Head) -> np.ndarray:
        if self._all_fit(model):
            return ~np.isnan(self.head(model, "images", head)[:, 0])
        name, order = head_column(*head), self._order(model, "images")
        batches = self.table(model, "images").to_batches(columns=[name])
        return np.concatenate([np.asarray(batch.column(name).is_valid()) for batch in batches])[order.in_table]

    def _all_fit(self, model: str) -> bool:
        """Whether all vectors of a model's images fit into the cache in float32."""
        fields = self.table(model, "images").schema
        return self._fit(model, [field.name for field in fields if pa.types.is_fixed_size_list(field.type)], 4)

    def _fit(self, model: str, columns: Iterable[str], size: int = 2) -> bool:
        """Whether columns of a model's images fit into the cache with numbers of so many bytes."""
        schema = self.table(model, "images").schema
        width = sum(schema.field(name).type.list_size for name in columns)
        return size * len(self.ids(model, "images")) * width <= self._kept.limit
