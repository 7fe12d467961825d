"""Exact nearest neighbours in a head's space, from Python and, as a DuckDB function, from inside SQL.

The measure is the cosine of two images' vectors y in the head's space, which is the cosine of the head's full
contributions (the space is isometric).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb
import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import FunctionNullHandling, PythonUDFType

from clipdb.errors import ClipdbError
from clipdb.queries.resolve import one_image, one_model
from clipdb.queries.vectors import Versions, open_vectors
from clipdb.schema.names import head_column, head_name, parse_head
from clipdb.schema.vectors import head_columns

_SCORES = 8_000_000  # scores held at once while many images are searched, 32 MB
_WHOLE = 64  # letters of an image_id

_RESULT = pa.list_(pa.struct([("image_id", pa.utf8()), ("score", pa.float32()), ("rank", pa.int32())]))
_MACRO = """
create or replace temp macro neighbours(model, head, image, k := 10) as table
select unnest(clipdb_neighbours(model, head, image, k), recursive := true)
"""


@dataclass(frozen=True)
class HeadVectors:
    """One head's vectors in memory.

    Attributes
    ----------
    ids
        Image ids, ascending, shape [n]; images without a vector for this head are left out.
    vectors
        y in float32, shape [n, head_dim], in the order of ``ids``.
    norms
        Lengths of y, shape [n]; infinite where y is zero, so that its cosine is 0.
    """

    ids: np.ndarray
    vectors: np.ndarray
    norms: np.ndarray


class NeighbourSearch:
    """Searches the image vectors of an index; keeps the last head it searched in memory.

    Parameters
    ----------
    index
        The index's directory.
    versions
        What `clipdb.queries.vectors.committed_versions` gives.
    """

    def __init__(self, index: Path, versions: Versions) -> None:
        self._index = index
        self._versions = versions
        self._tables: dict[str, lance.LanceDataset] = {}
        self._last: tuple[tuple[str, str], HeadVectors] | None = None
        self._lock = threading.Lock()
        self.error: ClipdbError | None = None

    def nearest(self, model: str | None, head: str, images: list[str], k: int) -> list[list[tuple[str, float, int]]]:
        """Find the images nearest to each given one, itself left out.

        Parameters
        ----------
        model
            Model name; None where the index has one model.
        head
            The head, as ``L11.H3``.
        images
            Image ids, or unambiguous beginnings of them.
        k
            How many neighbours of each.

        Returns
        -------
        list
            For each image ``(image_id, cosine, rank)``, best first, ranks from 1; equal scores in order of id. Empty
            for a whole image_id that has no vector of this head, as before a layer is added for all images.

        Raises
        ------
        ClipdbError
            If the model or the head is not in the index, no one image begins so, or k is under 1.
        """
        if k < 1:
            raise ClipdbError(f"k is {k}: ask for at least 1 neighbour")
        held = self._head(one_model([name for name, kind in self._versions if kind == "images"], model), head)
        rows = [_row(held.ids, head, image) for image in images]
        found: list[list[tuple[str, float, int]]] = [[] for _ in images]
        places = [place for place, row in enumerate(rows) if row is not None]
        step = max(1, _SCORES // len(held.ids))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            chosen = np.array([rows[place] for place in some])
            for place, row, scores in zip(some, chosen, _cosines(held, chosen), strict=True):
                found[place] = _best(held.ids, scores, row, k)
        return found

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give a connection the macro ``neighbours(model, head, image, k := 10)``; it vanishes with the connection."""
        connection.create_function(
            "clipdb_neighbours",
            self._in_sql,
            ["VARCHAR", "VARCHAR", "VARCHAR", "BIGINT"],
            "STRUCT(image_id VARCHAR, score FLOAT, rank INTEGER)[]",
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )
        connection.execute(_MACRO)

    def _in_sql(self, model: pa.Array, head: pa.Array, image: pa.Array, k: pa.Array) -> pa.Array:
        try:
            return self._batch(list(zip(*(one.to_pylist() for one in (model, head, image, k)), strict=True)))
        except ClipdbError as error:
            self.error = error  # DuckDB wraps what a function raises in a traceback; the caller shows this instead
            raise

    def _batch(self, asked: list[tuple[str | None, str | None, str | None, int | None]]) -> pa.Array:
        found: list[list[tuple[str, float, int]] | None] = [None] * len(asked)
        groups: dict[tuple[str | None, str, int], list[int]] = {}
        for place, (model, head, image, k) in enumerate(asked):
            if head is not None and image is not None and k is not None:
                groups.setdefault((model, head, k), []).append(place)
        for (model, head, k), places in groups.items():
            images = [str(asked[place][2]) for place in places]
            for place, nearest in zip(places, self.nearest(model, head, images, k), strict=True):
                found[place] = nearest
        keys = ("image_id", "score", "rank")
        return pa.array(
            [None if rows is None else [dict(zip(keys, row, strict=True)) for row in rows] for rows in found], _RESULT
        )

    def _head(self, model: str, head: str) -> HeadVectors:
        layer, number = parse_head(head)
        key = (model, head_column(layer, number))
        with self._lock:
            if self._last is None or self._last[0] != key:
                self._last = (key, self._load(model, layer, number))
            return self._last[1]

    def _load(self, model: str, layer: int, head: int) -> HeadVectors:
        if model not in self._tables:
            self._tables[model] = open_vectors(self._index, model, "images", self._versions[model, "images"])
        table = self._tables[model]
        known = head_columns(table.schema)
        if (layer, head) not in known:
            layers = sorted({layer for layer, _ in known})
            raise ClipdbError(
                f"{model} has no vectors of head {head_name(layer, head)}: "
                f"its layers here are {', '.join(map(str, layers))}, with {len(known) // len(layers)} heads each"
            )
        rows = table.to_table(columns=["image_id", known[layer, head]])
        rows = rows.filter(pc.is_valid(rows[1])).sort_by("image_id")
        if not len(rows):
            raise ClipdbError(
                f"no image of {model} has been through head {head_name(layer, head)} yet: ingest them again"
            )
        column = rows[1].combine_chunks()
        vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1).astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        return HeadVectors(
            ids=np.array(rows[0].to_pylist(), dtype=np.str_).astype(np.bytes_),
            vectors=vectors,
            norms=np.where(norms > 0, norms, np.float32(np.inf)),
        )


def _row(ids: np.ndarray, head: str, image: str) -> int | None:
    prefix = image.strip().lower().encode("ascii", "replace")
    first, last = np.searchsorted(ids, [prefix, prefix + b"~"])
    if first == last and len(prefix) == _WHOLE:
        return None
    one_image(image, [one.decode() for one in ids[first : min(last, first + 9)]], f"among the images of head {head}")
    return int(first)


def _cosines(held: HeadVectors, rows: np.ndarray) -> np.ndarray:
    scores: np.ndarray = (held.vectors[rows] / held.norms[rows, None]) @ held.vectors.T / held.norms
    return scores


def _best(ids: np.ndarray, scores: np.ndarray, itself: int, k: int) -> list[tuple[str, float, int]]:
    scores[itself] = -np.inf
    k = min(k, len(scores) - 1)
    top = np.argpartition(-scores, k - 1)[:k] if k else np.empty(0, np.int64)
    top = top[np.lexsort((top, -scores[top]))]
    return [(ids[row].decode(), float(scores[row]), rank) for rank, row in enumerate(top, start=1)]
