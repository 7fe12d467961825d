"""Small pictures of images, for exports."""

from __future__ import annotations

from clipdb.errors import ClipdbError

SIDE = 256
"""Pixels of the longer side."""

_QUALITY = 85


def thumbnail(image_id: str, uri: str) -> bytes | None:
    """Make a small JPEG of an image from its file.

    Parameters
    ----------
    image_id
        SHA-256 of the file.
    uri
        Where it was found.

    Returns
    -------
    bytes or None
        None where the file is gone, has changed or can't be decoded.
    """
    from io import BytesIO

    from clipdb.ingest.images.sources.uri import read_known
    from clipdb.models.preprocess import Undecodable, decode_whole

    try:
        picture = decode_whole(read_known(image_id, uri))
    except (ClipdbError, Undecodable):
        return None
    picture.thumbnail((SIDE, SIDE))
    made = BytesIO()
    picture.save(made, "JPEG", quality=_QUALITY)
    return made.getvalue()
