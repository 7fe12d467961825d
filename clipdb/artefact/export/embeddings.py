"""Embeddings of images with some heads' contributions taken off, or made of some heads' contributions alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipdb.artefact.export.selectors import select_heads
from clipdb.artefact.format import GROUP_ROWS
from clipdb.artefact.parquet_columns import relation_schema
from clipdb.errors import ClipdbError
from clipdb.queries.functions.base.ablation import require_means
from clipdb.queries.index import Index
from clipdb.queries.vectors.vector_tables import Table
from clipdb.schema.names import head_column, head_name
from clipdb.schema.vectors import embed_dim

How = Literal["zero", "mean"]
FACTS = pa.schema([relation_schema("images").field(name).with_nullable(True) for name in ("uri", "label", "split")])
"""What an export says of an image beside its id; null where an artefact has vectors alone."""

_ROWS = GROUP_ROWS  # at once: a row group of an artefact is then read once
_SYMBOLS = {
    "e": "the model's embedding of the image, of unit length",
    "Q": "a head's basis",
    "y": "the head's vector of the image",
    "m": "the mean of y over the model's images",
}


@dataclass(frozen=True)
class Edit:
    """What is done to embeddings.

    Attributes
    ----------
    without, only
        Selectors of the heads that are taken away, or of those that alone are kept: ``property=colour``,
        ``layer=8-11``, ``head=L11.H3``, ``labeller=vote``. Of several, each adds its heads.
    how
        What ``without`` takes away: all that a head writes (``zero``, also where this is None), or all but the mean of
        it over the model's images.
    normalise
        Whether the result is brought to unit length.
    """

    without: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    how: How | None = None
    normalise: bool = False


class EditedEmbeddings:
    """A model's embeddings after an edit, in parts; an embedding is an exact sum, so nothing has to run again.

    With e the unit embedding and c = Q y what a head writes into it (Gandelsman et al., arXiv 2310.05916, section 3.2;
    the head space is clipdb's own), ``without`` gives e minus the sum of c over the heads, and ``only`` the sum itself.
    These are direct effects: what the heads do through later layers stays.

    Parameters
    ----------
    index
        An index or an artefact, open.
    model
        Model name; not needed where there is one.
    edit
        What is done.
    progress
        Called with how many images have been gone through, of how many.

    Attributes
    ----------
    model, heads
        The model, and the heads that are taken away or kept.
    images, left_out
        How many embeddings `parts` gave, and of how many images it gave none: they have not been through all of the
        heads yet.

    Raises
    ------
    ClipdbError
        If a selector selects nothing, or the edit contradicts itself.
    """

    def __init__(
        self,
        index: Index,
        model: str | None,
        edit: Edit,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        if edit.without and edit.only:
            raise ClipdbError("--without and --only contradict each other: give one of them")
        if edit.how is not None and not edit.without:
            raise ClipdbError(f"--how {edit.how} says what --without takes away: give --without, too")
        context = index.context
        self.model = context.model(model)
        self.heads = select_heads(context, self.model, edit.without or edit.only)
        if edit.how == "mean":
            require_means(context, self.model, self.heads)
        self.images = self.left_out = 0
        self._index, self._context, self._edit, self._progress = index, context, edit, progress
        self._table = context.store.table(self.model, "images")

    @property
    def dim(self) -> int:
        """Numbers in an embedding, D."""
        return embed_dim(self._table.schema)

    def parts(self) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """Return images and their embeddings, a few thousand at a time, in the order of the stored vectors.

        So memory holds the heads of a few thousand images, and of all of them what the catalog says.

        Yields
        ------
        tuple
            ``image_id`` with the columns of `FACTS`, and float32 ``[rows, D]``.

        Raises
        ------
        ClipdbError
            If no image has been through all of the heads.
        """
        self.images = self.left_out = 0
        images = _images(self._index, self._table)
        columns = [head_column(*head) for head in self.heads]
        for start in range(0, len(images), _ROWS):
            rows = self._table.to_table(columns=["embedding", *columns], offset=start, limit=_ROWS)
            some = images.slice(start, _ROWS)
            whole = np.logical_and.reduce([np.asarray(column.is_valid()) for column in rows.columns])
            if not whole.all():
                rows, some = rows.filter(pa.array(whole)), some.filter(pa.array(whole))
            self.images += len(some)
            self.left_out += len(whole) - len(some)
            if len(some):
                yield some, self._edited(rows)
            self._progress(min(start + _ROWS, len(images)), len(images))
        if not self.images:
            raise ClipdbError(
                f"no image of {self.model} has been through all of these heads: select fewer, or run `clipdb ingest "
                f"images` with their layers",
                kind="absent",
            )

    def recipe(self) -> dict[str, Any]:
        """Return how these embeddings came about, once all `parts` were taken: nothing but JSON in it."""
        edit, names = self._edit, [head_name(*head) for head in self.heads]
        ((sha256,),) = self._context.rows("select weights_sha256 from models where model_id = ?", self.model)
        return {
            "clipdb_version": version("clipdb"),
            "model_id": self.model,
            "weights_sha256": sha256,
            "without": list(edit.without),
            "only": list(edit.only),
            "removed": names if edit.without else [],
            "kept": names if edit.only else [],
            "how": (edit.how or "zero") if edit.without else None,
            "normalised": edit.normalise,
            "images": self.images,
            "left_out": self.left_out,
            "formula": _formula(edit),
        }

    def _edited(self, rows: pa.Table) -> np.ndarray:
        known = self._context.heads(self.model)
        result = np.zeros((len(rows), self.dim), np.float32) if self._edit.only else _matrix(rows["embedding"])
        sign = np.float32(1 if self._edit.only else -1)
        for head in self.heads:
            vectors = _matrix(rows[head_column(*head)])
            if self._edit.how == "mean":
                vectors -= known.means[head]
            result += vectors @ (sign * known.bases[head]).T
        if self._edit.normalise:
            lengths = np.linalg.norm(result, axis=1, keepdims=True)
            np.divide(result, lengths, out=result, where=lengths > 0)
        return result


def _images(index: Index, table: Table) -> pa.Table:
    """Return the ids of a table's rows with what the catalog knows of each image."""
    ids = table.to_table(columns=["image_id"]).column("image_id").combine_chunks()
    known = index.execute("select image_id, uri, label, split from images").to_arrow_table()
    places = pc.index_in(ids, value_set=known.column("image_id").combine_chunks())
    facts = known.select(FACTS.names).take(places).cast(FACTS)
    return facts.add_column(0, relation_schema("images").field("image_id"), ids)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Return the vectors of a column without nulls: float32 ``[rows, size]``, of the caller's own."""
    numbers = column.combine_chunks().flatten().to_numpy()
    return numbers.astype(np.float32).reshape(len(column), column.type.list_size)


def _formula(edit: Edit) -> str:
    if edit.only:
        formula, symbols = "sum of Q y over the heads kept", "Qy"
    elif edit.without and edit.how == "mean":
        formula, symbols = "e - sum of Q (y - m) over the heads removed", "eQym"
    elif edit.without:
        formula, symbols = "e - sum of Q y over the heads removed", "eQy"
    else:
        formula, symbols = "e", "e"
    where = "; ".join(f"{symbol}: {_SYMBOLS[symbol]}" for symbol in symbols)
    return f"{formula}{', brought to unit length' if edit.normalise else ''} ({where})"
