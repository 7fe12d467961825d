"""Read one image again, from the uri that its ingest wrote down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import source_kinds
from clipdb.ingest.images.sources.files import is_file, may_be_there
from clipdb.ingest.images.sources.item import read_file, reason


def read_uri(uri: str) -> bytes:
    """Read an image file's bytes.

    Parameters
    ----------
    uri
        What `SourceItem.uri` was: a path, ``/x/shard.tar#member.jpg`` or ``/x/file.parquet#row=17``.

    Raises
    ------
    ClipdbError
        When it is not there any more, or can't be read.
    """
    try:
        data = _read(uri)
    except Exception as error:  # damaged archives raise nearly anything
        raise ClipdbError(f"the image {uri} can't be read: {reason(error)}") from error
    if data is None:
        raise ClipdbError(
            f"the image file {uri} no longer exists: put it back, or give the path of a copy; where images were moved, "
            "`clipdb ingest images NEWFOLDER --model MODEL` writes down their new paths",
            kind="absent",
        )
    return data


def found(uri: str) -> bool:
    """Return whether there is still a file at the uri of an image, or at that of the shard it is in."""
    return bool(uri) and (may_be_there(uri) or any(True for _ in _splits(uri)))


def read_known(image_id: str, uri: str) -> bytes:
    """Read an image that an index knows.

    A row may be a stranger's, or its file may have been replaced: what is there is the image only if its bytes say so.

    Parameters
    ----------
    image_id
        Hex SHA-256 of its bytes.
    uri
        Where it was found; empty where that is not known.

    Raises
    ------
    ClipdbError
        When it is not there any more, can't be read, or is another.
    """
    if not uri:  # an export may leave out where images came from
        raise ClipdbError(
            f"where the image {image_id[:12]} came from is not known here: give the path of its file", kind="absent"
        )
    data = read_uri(uri)
    if hashlib.sha256(data).hexdigest() != image_id:
        raise ClipdbError(f"{uri} has changed since it was ingested: ingest it again, or give the path of a copy")
    return data


def _splits(uri: str) -> Iterator[tuple[str, str]]:
    """Split at each ``#`` that has a file before it: the names of files and of members may have some too."""
    place = uri.find("#")
    while place >= 0:
        if may_be_there(uri[:place]):
            yield uri[:place], uri[place + 1 :]
        place = uri.find("#", place + 1)


def _read(uri: str) -> bytes | None:
    if is_file(uri):
        return read_file(uri)
    for container, part in _splits(uri):
        for kind in source_kinds():
            if container.lower().endswith(kind.suffixes) and (data := kind(container).read(part)) is not None:
                return data
    return None
