"""Files of embeddings: Parquet, or NumPy's array with a file of notes beside it; each with the recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.artefact.export.embeddings import FACTS, EditedEmbeddings
from clipdb.artefact.parquet_columns import DESCRIPTION, relation_schema
from clipdb.errors import ClipdbError
from clipdb.schema.leftovers import replacing
from clipdb.schema.names import Head

RECIPE = "clipdb"
"""The key of a Parquet file's metadata under which the recipe is, as JSON."""


@dataclass(frozen=True)
class Written:
    """What is in a file of embeddings.

    Attributes
    ----------
    model
        Whose embeddings.
    heads
        ``(layer, head)`` of the heads that were taken away or kept; none if the embeddings are whole.
    images, left_out
        How many images have embeddings there, and how many don't, because they haven't been through all of these heads.
    dim
        Numbers in an embedding, D.
    """

    model: str
    heads: tuple[Head, ...]
    images: int
    left_out: int
    dim: int


def write(embeddings: EditedEmbeddings, file: Path) -> Written:
    """Write embeddings in the form that the file's name says, ``.parquet`` or ``.npy``: see the two below.

    Raises
    ------
    ClipdbError
        If the name says neither, the file can't be written, or there are no embeddings.
    """
    form = file.suffix.lower()
    if form not in (".parquet", ".npy"):
        raise ClipdbError(f"{file}: embeddings are written as FILE.parquet or FILE.npy")
    with replacing(file) as building:
        if form == ".parquet":
            write_parquet(embeddings, building)
        else:
            with replacing(file.with_name(f"{file.name}.json")) as notes:
                write_npy(embeddings, building, notes)
    return Written(embeddings.model, tuple(embeddings.heads), embeddings.images, embeddings.left_out, embeddings.dim)


def write_parquet(embeddings: EditedEmbeddings, file: Path) -> None:
    """Write one row per image: ``image_id``, ``uri``, ``label``, ``split`` and ``embedding``, float32 ``[D]``.

    Parameters
    ----------
    embeddings
        What to write, a part at a time.
    file
        Where to.

    Raises
    ------
    ClipdbError
        If there are no embeddings.
    """
    element = pa.field("element", pa.float32(), False)
    meaning = {DESCRIPTION: f"Embedding, shape [D]; how it was made is in the file's metadata, key {RECIPE}"}
    vector = pa.field("embedding", pa.list_(element, embeddings.dim), False, meaning)
    schema = pa.schema([relation_schema("images").field("image_id"), *FACTS, vector])
    with file.open("wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=False) as writer:
        for images, matrix in embeddings.parts():
            vectors = pa.FixedSizeListArray.from_arrays(matrix.ravel(), type=vector.type)
            writer.write_table(images.append_column(vector, vectors))
        writer.add_key_value_metadata({RECIPE: json.dumps(embeddings.recipe(), ensure_ascii=False)})


def write_npy(embeddings: EditedEmbeddings, file: Path, notes: Path) -> None:
    """Write the embeddings as an array float32 ``[n, D]``, and beside it the recipe with the ``image_ids`` of its rows.

    Parameters
    ----------
    embeddings
        What to write, a part at a time.
    file, notes
        Where to.

    Raises
    ------
    ClipdbError
        If there are no embeddings.
    """
    ids: list[str] = []
    with file.open("wb") as array:
        _write_header(array, 0, embeddings.dim)
        for images, matrix in embeddings.parts():
            array.write(matrix.astype("<f4", copy=False).data)
            ids += images.column("image_id").to_pylist()
        array.seek(0)  # NumPy leaves room in its header for any number of rows
        _write_header(array, len(ids), embeddings.dim)
    text = json.dumps(embeddings.recipe() | {"image_ids": ids}, indent=1, ensure_ascii=False)
    notes.write_text(text + "\n", encoding="utf-8")


def _write_header(array: BinaryIO, rows: int, dim: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
    np.lib.format.write_array_header_1_0(array, header)
