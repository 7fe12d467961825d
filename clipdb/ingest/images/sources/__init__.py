"""Where images come from: folders, file lists, tar shards, Parquet files and so on, in any mixture.

Each kind is a module of `clipdb.ingest.images.sources.kinds` with a class ``SOURCE`` that follows
`clipdb.ingest.images.sources.source.Source`. Modules of other packages are found by their entry points
``clipdb.sources``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from clipdb import plugins
from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.expand import expand
from clipdb.ingest.images.sources.item import HEIC, SourceItem, reason
from clipdb.ingest.images.sources.source import Source, Sources
from clipdb.models.image_formats import heic_hint
from clipdb.stores.address import is_store

__all__ = ["Source", "SourceItem", "Sources", "open_source", "open_sources", "source_kinds"]


@cache
def source_kinds() -> list[type[Source]]:
    """Import every kind of source, in the order in which they are asked whether a path is theirs."""
    found: dict[str, type[Source]] = plugins.members("sources", f"{__name__}.kinds", "SOURCE")
    return sorted(found.values(), key=lambda kind: kind.order)


def open_sources(paths: Sequence[str]) -> Sources:
    """Find out what each path is.

    Parameters
    ----------
    paths
        Folders, image files, text files of paths (``-``: standard input), tables of paths (CSV, TSV, JSON lines,
        Parquet), ``.tar``, ``.tar.gz``, ``.tgz`` and ``.parquet`` files of images; globs and
        ``shard-{000..012}.tar`` are expanded. A folder with no images stands for the tar shards under it, or else the
        Parquet files. All of them may be in a store: ``s3://BUCKET/...``, ``gs://...``, ``az://...``.

    Raises
    ------
    ClipdbError
        When there is no path, or one is missing, empty, a URL or of an unknown kind.
    """
    if not paths:
        raise ClipdbError("no images were named: give a folder, a file list, tar shards or Parquet files")
    if list(paths).count("-") > 1:
        raise ClipdbError("standard input can be read once: give `-` once")
    return Sources([open_source(one) for path in paths for one in ([path] if path == "-" else expand(path))])


def open_source(path: str) -> Source:
    """Open an absolute path, an address in a store, or ``-``, as the first kind that accepts it.

    Raises
    ------
    ClipdbError
        When no kind does, or it can't be read.
    """
    try:
        for kind in source_kinds():
            if kind.accepts(path):
                if kind.suffixes and not is_store(path) and not Path(path).is_file():
                    raise ClipdbError(f"{path} is no regular file: images and shards have to be")
                return kind(path)
    except ClipdbError:
        raise
    except Exception as error:  # damaged archives raise nearly anything
        raise ClipdbError(f"{path} cannot be read: {reason(error)}") from error
    if path.lower().endswith(HEIC):
        raise ClipdbError(f"{path} is a HEIC image: {heic_hint()}", kind="missing")
    raise ClipdbError(f"{path} is of no known kind: give images, a folder, .tar, .parquet or a text file")
