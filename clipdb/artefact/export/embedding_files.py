"""Files of embeddings: Parquet, or NumPy's array with a file of notes beside it; each with the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipdb.artefact.columns import DESCRIPTION, relation_schema
from clipdb.artefact.export.embeddings import FACTS, EditedEmbeddings

RECIPE = "clipdb"
"""The key of a Parquet file's metadata under which the recipe is, as JSON."""


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
