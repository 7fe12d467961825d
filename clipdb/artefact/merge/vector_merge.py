"""Merge an artefact's vectors of one model and kind into those of an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path

import duckdb
import lance
import numpy as np
import pyarrow as pa

from clipdb.artefact.merge.checked_vectors import TheirVectors, rotate
from clipdb.artefact.merge.conflicts import Prefer
from clipdb.artefact.merge.row_positions import find_places, stage_ids
from clipdb.artefact.merge.sameness import apart, valid
from clipdb.artefact.merge.staged_table import StagedTable, text_heads
from clipdb.errors import ClipdbError
from clipdb.ingest.store.table_folder import open_table
from clipdb.ingest.store.writer import Writer
from clipdb.schema.basis_matrix import stored_basis
from clipdb.schema.names import PARTS, Head, head_column, head_name
from clipdb.schema.vectors import part_columns
from clipdb.schema.vectors_place import VectorsPlace, table_in, vectors_place

REPLACED_AT_ONCE = 256 * 2**20  # bytes


class _Row(IntEnum):
    NEW = 0
    SKIPPED = 1
    FILLED = 2  # theirs has vectors where ours are null
    TAKEN = 3  # theirs differs, and is preferred


class VectorMerge:
    """Their vectors beside ours.

    Parameters
    ----------
    connection
        The catalog, with the artefact's relations staged.
    index
        Directory of the index.
    theirs
        The vectors.
    rotations
        ``{(layer, head): R}`` of the heads whose vectors have to be turned into our bases.

    Attributes
    ----------
    ours
        The Lance table at its committed version; None where there is none.
    same_ids
        Whether the index will have just the artefact's rows.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        index: Path,
        theirs: TheirVectors,
        rotations: Mapping[Head, np.ndarray],
    ) -> None:
        self.index, self.theirs = index, theirs
        self._rotations = {head_column(*head): turn for head, turn in rotations.items() if head in theirs.heads}
        stage_ids(connection, theirs)
        version = connection.execute(
            "select max(lance_version) from batches where model_id = ? and kind = ?", [theirs.model_id, theirs.kind]
        ).fetchall()[0][0]
        self.ours: lance.LanceDataset | None = None
        if version is not None:
            self.ours = _open(table_in(vectors_place(index, connection), theirs.model_id, theirs.kind), version)
        self._places = find_places(connection, self.ours, theirs)
        self._rows = np.full(theirs.count, _Row.NEW, np.int8)
        shared = int((self._places >= 0).sum())
        self.same_ids = self.ours is None or self.ours.count_rows() == shared
        self.differs_in_ids = self.ours is not None and not (self.same_ids and shared == theirs.count)
        self.kept_ours = 0
        self.table: StagedTable | None = None
        self._checked = False

    @property
    def added(self) -> int:
        """Count the rows that the index lacks."""
        return int((self._rows == _Row.NEW).sum())

    @property
    def changed(self) -> int:
        """Count the rows that get vectors which they lack, or others."""
        return int((self._rows >= _Row.FILLED).sum())

    @property
    def as_theirs(self) -> bool:
        """Whether the index will have the artefact's vectors, bit for bit, and no others."""
        columns = set(part_columns(self.ours.schema)) if self.ours is not None else set()
        return self.same_ids and not self.kept_ours and not self._rotations and columns <= set(self.theirs.heads)

    def check(self, prefer: Prefer | None, progress: Callable[[int], None]) -> None:
        """Check every number, compare with our rows, and decide what happens to each.

        Raises
        ------
        ClipdbError
            Where a vector can't be, or is another than ours and nothing is preferred.
        """
        start = 0
        for batch in self.theirs.checked():
            places = self._places[start : start + len(batch)]
            shared = np.flatnonzero(places >= 0)
            if len(shared):
                assert self.ours is not None
                names = [name for name in batch.schema.names if name in self.ours.schema.names]
                ours = self.ours.take(places[shared].tolist(), columns=names).combine_chunks()
                some = batch if len(shared) == len(batch) else batch.take(pa.array(shared))
                self._rows[start + shared] = self._decide(ours, rotate(some, self._rotations), prefer)
            start += len(batch)
            progress(len(batch))
        self._checked = True

    def notes(self) -> Iterator[str]:
        """Return what a person should know of the merged images."""
        model = self.theirs.model_id
        if self.ours is None or self.table is None:
            return
        ours = set(part_columns(self.ours.schema))
        theirs = set(self.theirs.heads)
        sides = (("the artefact", theirs - ours, self.same_ids), ("the index", ours - theirs, not self.added))
        for whose, heads, have_all in sides:
            if have_all or not heads:
                continue
            layers = sorted({layer for layer, head in heads if head >= 0})
            which = [f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"] if layers else []
            which += [head_name(*part) for part in sorted(heads) if part[1] < 0]
            yield f"{model}: only images of {whose} have vectors of {', '.join(which)}"

    def write(
        self, writer: Writer, run: str, bases: Mapping[Head, np.ndarray], progress: Callable[[int], None]
    ) -> None:
        """Write what is new, or changed, without making it part of the index yet.

        Where `check` was not asked, every number is checked as it is written: of an index that is yet to be.

        Parameters
        ----------
        run
            The run that rows are recorded under.
        bases
            Q of the heads that only one side has vectors of, for texts, which need no more to have them.
        """
        if not self.added and not self.changed:
            return
        self.table = StagedTable(writer, self.theirs.model_id, self.theirs.kind, run)
        if self.table.dataset is None:
            self.table.append((self._turned(batch) for batch, _, _ in self._read(progress)), self.theirs.layout)
            return
        held = set(part_columns(self.table.dataset.schema))
        if lacking := [head for head in self.theirs.heads if head not in held]:
            if self.theirs.kind == "texts":
                self.table.add_text_heads({head: bases[head] for head in lacking})
            else:
                self.table.add_columns(self.theirs.layout)
        schema = self.table.dataset.schema
        only_ours = {head: bases[head] for head in sorted(held - set(self.theirs.heads)) if head in bases}
        if self.added:
            self.table.append(self._new(progress, schema, only_ours), schema)
        if self.changed:
            waiting: list[pa.Table] = []
            for batch, rows, places in self._read(progress):
                if (rows >= _Row.FILLED).any():
                    waiting.append(self._mended(batch, rows, places, schema, only_ours))
                if sum(part.nbytes for part in waiting) >= REPLACED_AT_ONCE:
                    self.table.replace(pa.concat_tables(waiting), schema)
                    waiting = []
            if waiting:
                self.table.replace(pa.concat_tables(waiting), schema)

    def _decide(self, ours: pa.Table, theirs: pa.RecordBatch, prefer: Prefer | None) -> np.ndarray:
        """Compare rows of the same ids; give what happens to each."""
        differs, lacks = np.zeros(len(theirs), bool), np.zeros(len(theirs), bool)
        for name, column in zip(theirs.schema.names[1:], theirs.columns[1:], strict=True):
            if name not in ours.column_names:
                lacks |= valid(column)
                continue
            mine = ours.column(name).combine_chunks()
            if mine.equals(column):
                continue
            lacks |= ~valid(mine) & valid(column)
            other = apart(mine, column)
            if other.any() and prefer is None:
                self._refuse(theirs, name, int(np.argmax(other)))
            differs |= other
        if prefer == "ours":
            self.kept_ours += int(differs.sum())
            lacks &= ~differs
        return np.where(differs & (prefer == "theirs"), _Row.TAKEN, np.where(lacks, _Row.FILLED, _Row.SKIPPED))

    def _refuse(self, theirs: pa.RecordBatch, column: str, row: int) -> None:
        heads = {name: head_name(*head) for head, name in part_columns(theirs.schema).items()}
        raise ClipdbError(
            f"vectors of {self.theirs.kind} of {self.theirs.model_id}: {self.theirs.key} "
            f"{theirs.column(0)[row].as_py()} is not the same in {self.theirs.artefact.directory} as in {self.index} "
            f"({heads.get(column, column)}): take one of them with --prefer theirs or --prefer ours"
        )

    def _read(self, progress: Callable[[int], None]) -> Iterator[tuple[pa.RecordBatch, np.ndarray, np.ndarray]]:
        """Read their rows, with what happens to each and its place in ours."""
        start = 0
        for batch in self.theirs.batches() if self._checked else self.theirs.checked():
            end = start + len(batch)
            yield batch, self._rows[start:end], self._places[start:end]
            start = end
            progress(len(batch))

    def _turned(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return rotate(batch, self._rotations)

    def _new(
        self, progress: Callable[[int], None], schema: pa.Schema, only_ours: dict[Head, np.ndarray]
    ) -> Iterator[pa.RecordBatch]:
        for batch, rows, _ in self._read(progress):
            new = np.flatnonzero(rows == _Row.NEW)
            if len(new):
                some = batch if len(new) == len(batch) else batch.take(pa.array(new))
                yield self._widened(self._turned(some), schema, only_ours)

    def _widened(self, batch: pa.RecordBatch, schema: pa.Schema, only_ours: dict[Head, np.ndarray]) -> pa.RecordBatch:
        """Add the heads that only we have: computed for texts, null for images."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if self.theirs.kind == "texts" and only_ours:
            computed = text_heads(batch.column("embedding"), only_ours)
            columns |= dict(zip(computed.schema.names, computed.columns, strict=True))
        for name in part_columns(schema).values():
            if name not in columns:
                columns[name] = pa.nulls(len(batch), schema.field(name).type)
        return pa.record_batch(columns)

    def _mended(
        self,
        batch: pa.RecordBatch,
        rows: np.ndarray,
        places: np.ndarray,
        schema: pa.Schema,
        only_ours: dict[Head, np.ndarray],
    ) -> pa.Table:
        """Return whole rows in which one side's vectors stand before the other's, null by null."""
        assert self.ours is not None
        at = np.flatnonzero(rows >= _Row.FILLED)
        theirs = self._widened(self._turned(batch.take(pa.array(at))), schema, only_ours)
        ours = self.ours.take(places[at].tolist()).combine_chunks()
        theirs_first = rows[at] == _Row.TAKEN
        columns = {}
        for name in (name for name in schema.names if not name.startswith("_")):
            column = theirs.column(name)
            if name in ours.column_names:
                mine = ours.column(name).combine_chunks()
                from_theirs = np.where(theirs_first, valid(column), ~valid(mine))
                both = pa.concat_arrays([column, mine.cast(column.type)])
                column = both.take(pa.array(np.where(from_theirs, 0, len(at)) + np.arange(len(at))))
            columns[name] = column
        return pa.table(columns)


def one_sided_bases(connection: duckdb.DuckDBPyConnection, merge: VectorMerge) -> dict[Head, np.ndarray]:
    """Read Q ``[D, k]`` of the heads of which only one side has vectors, ours where both have a basis."""
    ours = set(part_columns(merge.ours.schema)) if merge.ours is not None else set()
    rows = connection.execute(
        f"select layer, head, coalesce(o.basis, t.basis) from their_parts t full join {PARTS} o using "
        "(model_id, layer, head) where model_id = ? and coalesce(o.size, t.size) is not null",
        [merge.theirs.model_id],
    )
    bases = {}
    while row := rows.fetchone():
        if ((head := row[:2]) in ours) != (head in merge.theirs.heads):
            bases[head] = stored_basis(row[2], merge.theirs.embed_dim)
    return bases


def _open(path: VectorsPlace, version: int) -> lance.LanceDataset:
    try:
        return open_table(path, version)
    except (OSError, ValueError) as error:
        raise ClipdbError(
            f"the vectors {path} are not at version {version} as the catalog says: restore them from a copy, or import "
            "into a new index"
        ) from error
