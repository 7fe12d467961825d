"""Small pictures of an export, in the form that the `datasets` library shows as images."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import duckdb
import pyarrow as pa

from clipdb.artefact.export.parquet_writer import HashedFile, regroup, write_parquet
from clipdb.artefact.export.selection import Choice
from clipdb.artefact.format import SHARD_ROWS, File, thumbnails_path

Thumbnail = Callable[[str, str], bytes | None]
"""Makes a small JPEG of the image that has an image_id and a uri; gives None where its file is gone or changed."""

_GROUP_ROWS = 256
_FEATURES = {"image_id": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}}
THUMBNAILS = pa.schema(
    [
        pa.field("image_id", pa.utf8(), False, {"description": "The image (images.image_id)"}),
        pa.field(
            "image",
            pa.struct([("bytes", pa.binary()), ("path", pa.utf8())]),  # which `datasets` takes for an image
            True,
            {"description": "A small JPEG of it, upright: its bytes; path is null"},
        ),
    ],
    metadata={
        "description": "A small picture of each image whose file was where the index says.",
        "huggingface": json.dumps({"info": {"features": _FEATURES}}),
    },
)


def images_of(connection: duckdb.DuckDBPyConnection, choice: Choice) -> pa.Table:
    """List image_id and uri of each image that was chosen, by image_id.

    Parameters
    ----------
    connection
        The catalog, with the tables that `clipdb.artefact.export.selection.make_tables` makes.
    choice
        What was chosen.
    """
    chosen = "" if choice.all_models else "semi join kept_images using (image_id)"
    return connection.execute(f"select image_id, uri from images {chosen} order by image_id").to_arrow_table()


def write_thumbnails(images: pa.Table, root: Path, thumbnail: Thumbnail) -> Iterator[File]:
    """Write a picture of each image; those whose files are gone have no row.

    Parameters
    ----------
    images
        What `images_of` lists.
    root
        Directory of the export.
    thumbnail
        Makes the pictures, in several threads at once.

    Yields
    ------
    File
        A shard, when it is on disk.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        groups = regroup(_pictures(images, pool, thumbnail), THUMBNAILS, _GROUP_ROWS)
        for number, first in enumerate(groups):
            file = HashedFile(root, thumbnails_path(number), "thumbnails")
            shard = chain([first], islice(groups, SHARD_ROWS // _GROUP_ROWS - 1))
            yield write_parquet(file, THUMBNAILS, shard, use_content_defined_chunking=True).finished()


def _pictures(images: pa.Table, pool: ThreadPoolExecutor, thumbnail: Thumbnail) -> Iterator[pa.RecordBatch]:
    for some in images.to_batches(max_chunksize=_GROUP_ROWS):
        ids, uris = (column.to_pylist() for column in some.columns)
        made = zip(ids, pool.map(thumbnail, ids, uris), strict=True)
        found = [(image_id, picture) for image_id, picture in made if picture is not None]
        pictures = [{"bytes": picture, "path": None} for _, picture in found]
        yield pa.record_batch([[image_id for image_id, _ in found], pictures], schema=THUMBNAILS)
