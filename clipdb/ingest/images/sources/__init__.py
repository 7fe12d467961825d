"""Where images come from: folders, file lists, tar shards and Parquet files, in any mixture."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources import annotated, parquet_shards, tar_shards
from clipdb.ingest.images.sources.expand import expand
from clipdb.ingest.images.sources.filelist import FileList
from clipdb.ingest.images.sources.folder import Folder, unread_kind, unread_kinds, walk
from clipdb.ingest.images.sources.item import HEIC, IMAGES, SourceItem, file_item, is_image
from clipdb.models.image_formats import HEIC_HINT

__all__ = ["SourceItem", "Sources", "open_sources"]


class Source(Protocol):
    """Anything that yields items, and knows how many if that is cheap."""

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the items, in the same order every time."""
        ...

    @property
    def total(self) -> int | None:
        """Number of items, or None."""
        ...


@dataclass(frozen=True)
class Single:
    """One image file."""

    path: str
    total: int = 1

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield it."""
        yield file_item(self.path)


class Sources:
    """All images of several sources, in the order in which they were given; may be iterated again.

    Items of shards hold their bytes: keep few of them at a time.
    """

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield every item; equal arguments give an equal order."""
        return itertools.chain.from_iterable(self.parts)

    @cached_property
    def total(self) -> int | None:
        """Number of items; None when it is not known without reading all (tar shards)."""
        counts = [part.total for part in self.parts]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def left_out(self) -> int:
        """Number of links, pipes and devices in the tar shards that have been read to their end."""
        return sum(part.left_out for part in self.parts if isinstance(part, tar_shards.TarShard))


def open_sources(paths: Sequence[str]) -> Sources:
    """Find out what each path is.

    Parameters
    ----------
    paths
        Folders, image files, text files of paths (``-``: standard input), tables of paths (CSV, TSV, JSON lines,
        Parquet), ``.tar``, ``.tar.gz``, ``.tgz`` and ``.parquet`` files of images; globs and
        ``shard-{000..012}.tar`` are expanded. A folder with no images stands for the tar shards under it, or else the
        Parquet files.

    Raises
    ------
    ClipdbError
        When there is no path, or one is missing, empty, a URL or of an unknown kind.
    """
    if not paths:
        raise ClipdbError("no images were named: give a folder, a file list, tar shards or Parquet files")
    if list(paths).count("-") > 1:
        raise ClipdbError("standard input can be read once: give `-` once")
    return Sources([source for path in paths for source in _open(path)])


def _open(path: str) -> Iterable[Source]:
    """Yield what one argument stands for."""
    if path == "-":
        yield FileList("-")
        return
    for name in expand(path):
        if Path(name).is_dir():
            yield from _folder(name)
        else:
            yield _file(name)


def _folder(path: str) -> Iterable[Source]:
    """Return the folder if it has images, else the shards in it."""
    if any(is_image(entry) for entry in walk(path) if isinstance(entry, str)):
        return [Folder(path)]
    files = []
    for entry in walk(path):
        if isinstance(entry, OSError):
            raise ClipdbError(f"{entry.filename} cannot be read: {entry.strerror}")
        files.append(entry)
    # tar first: img2dataset writes a Parquet table of captions, with no images, beside each tar
    for suffixes in (tar_shards.SUFFIXES, parquet_shards.SUFFIXES):
        shards = [file for file in files if file.lower().endswith(suffixes)]
        if shards:
            return map(_file, shards)
    unread = Counter(suffix for file in files for suffix in unread_kind(file))
    has = f"; it has {unread_kinds(unread)}" if unread else ""
    raise ClipdbError(f"no images in {path}: no {' '.join(IMAGES)} file and no tar or Parquet shard{has}")


def _file(path: str) -> Source:
    """Find a file's kind by its suffix, else by whether it is text."""
    lower = path.lower()
    if Path(path).is_file() and annotated.names_paths(path):
        return annotated.AnnotatedList(path)
    kinds: list[tuple[tuple[str, ...], Callable[[str], Source]]] = [
        (IMAGES, Single),
        (tar_shards.SUFFIXES, tar_shards.TarShard),
        (parquet_shards.SUFFIXES, parquet_shards.ParquetFile),
    ]
    regular = Path(path).is_file()
    for suffixes, kind in kinds:
        if lower.endswith(suffixes):
            if not regular:
                raise ClipdbError(f"{path} is no regular file: images and shards have to be")
            return kind(path)
    try:
        if regular and _is_binary(path):
            if lower.endswith(HEIC):
                raise ClipdbError(f"{path} is a HEIC image: {HEIC_HINT}")
            raise ClipdbError(f"{path} is of no known kind: give images, a folder, .tar, .parquet or a text file")
        return FileList(path)
    except OSError as error:
        raise ClipdbError(f"{path} cannot be read: {error.strerror}") from None


def _is_binary(path: str) -> bool:
    """Return whether a file is not text."""
    with Path(path).open("rb") as file:
        return b"\0" in file.read(4096)
