"""One image of a source, and how its bytes are read."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path, PurePosixPath
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.models.image_formats import FORMATS
from clipdb.models.preprocess import MAX_BYTES
from clipdb.stores.address import StoreAddress, is_store
from clipdb.stores.objects import read_object

HEIC = (".heic", ".heif", ".hif")
IMAGES = (
    ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
    *(HEIC if "HEIF" in FORMATS else ()),
)  # fmt: skip
"""Suffixes of image files, in lower case."""

UNREAD = frozenset(
    (
        *(() if "HEIF" in FORMATS else HEIC),
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw",
        ".rw2", ".srw", ".x3f",
        ".ai", ".dds", ".emf", ".eps", ".exr", ".hdr", ".ico", ".jxl", ".pcx", ".psd", ".svg", ".svgz", ".tga", ".xcf",
        ".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm", ".wmv",
    )
)  # fmt: skip
"""Suffixes of pictures and films that are not read: a person wants to know of them."""

_SPLITS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(
    ("val", "valid", "validation", "dev"), "validation"
)


@dataclass(frozen=True)
class SourceItem:
    """One image, not read yet.

    Parameters
    ----------
    uri
        Where it is: an absolute path, ``/x/shard.tar#member.jpg`` or ``/x/file.parquet#row=17``; in a store,
        ``s3://bucket/`` and so on instead of the first slash.
    read
        Returns the file's bytes; safe in any thread. Raises any error when they cannot be had.
    label, split
        What the source says the image shows, and which part of the data set it belongs to.
    metadata
        What else the source says, ready for JSON.
    parent
        Name of the folder that the image lies in, for ``--label-from parent``.
    """

    uri: str
    read: Callable[[], bytes] = field(repr=False)
    label: str | None = None
    split: str | None = None
    metadata: dict[str, Any] | None = None
    parent: str | None = None


def file_item(path: str, split: str | None = None) -> SourceItem:
    """Return an image file of its own as an item."""
    return SourceItem(clean(path), lambda: read_file(path), split=split, parent=parent_of(path))


def bytes_item(uri: str, data: bytes, **facts: Any) -> SourceItem:
    """Return an image whose bytes had to be read with those around it."""
    return SourceItem(uri, lambda: data, **facts)


def failed_item(uri: str, reason: str) -> SourceItem:
    """Return an item that only fails: what cannot be read is counted and kept like any failed image."""

    def read() -> bytes:
        raise ClipdbError(reason)

    return SourceItem(uri, read)


def read_file(path: str) -> bytes:
    """Read a regular file, or an object in a store, of at most `MAX_BYTES`.

    Raises
    ------
    OSError
        When it is missing or not readable.
    ClipdbError
        When it is no regular file (a pipe would block for ever) or too large, or the path can't be one.
    """
    if is_store(path):
        return _read_stored(path)
    if "\0" in path:
        raise ClipdbError("a path has no zero byte in it")
    file = Path(path)
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ClipdbError("not a regular file")
    if status.st_size > MAX_BYTES:
        raise ClipdbError(too_large(status.st_size))
    return file.read_bytes()


def _read_stored(path: str) -> bytes:
    data = read_object(StoreAddress(path), MAX_BYTES)
    if data is None:
        raise FileNotFoundError(ENOENT, "no such object in the store", path)
    return data


def too_large(size: int) -> str:
    """State that `size` bytes are too many for one image."""
    return f"the file has {size:,} bytes: more than {MAX_BYTES:,} are not read"


def reason(error: Exception) -> str:
    """Return in one line why something can't be read."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def is_image(name: str) -> bool:
    """Decide by the suffix, in any case, and leave hidden files out."""
    return name.lower().endswith(IMAGES) and not PurePosixPath(name).name.startswith(".")


def clean(path: str) -> str:
    """Return `path` as text that UTF-8 can hold: bytes of a file name that are not UTF-8 become ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def parent_of(path: str) -> str | None:
    """Name the folder that holds the file `path`, if it has one."""
    return clean(PurePosixPath(path).parent.name) or None


def split_of(name: str) -> str | None:
    """Read a split off the name of a folder or a shard (``train``, ``test-00000-of-00002.parquet``)."""
    word = name.lower().split(".")[0].split("-")[0].split("_")[0]
    return _SPLITS.get(word)
