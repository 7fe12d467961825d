"""The files under a folder, in sorted order, and those of them that are pictures of kinds that are not read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from clipdb.ingest.images.sources.item import HEIC, UNREAD
from clipdb.models.image_formats import heic_hint


def unread_kind(path: str) -> list[str]:
    """Return the suffix of a picture or film of a kind that is not read, in a list; for any other file an empty one."""
    suffix = PurePosixPath(path).suffix.lower()
    return [suffix] if suffix in UNREAD else []


def unread_kinds(unread: Counter[str]) -> str:
    """Return how many files of which kinds are not read, and what to do about them."""
    counts = ", ".join(f"{number:,} {suffix}" for suffix, number in unread.most_common())
    advice = [heic_hint()] if any(suffix in HEIC for suffix in unread) else []
    if any(suffix not in HEIC for suffix in unread):
        advice.append("save pictures of kinds that clipdb doesn't read as JPEG or PNG")
    return f"{counts} ({'; '.join(advice)})"


def walk(folder: str) -> Iterator[str | OSError]:
    """Yield the files under `folder` in sorted order, and the error of every folder that cannot be read.

    Links to folders are followed, but no folder is entered twice: loops end. Pipes, sockets and devices are
    left out; broken links are not, as a person wants to know of them.
    """
    seen: set[tuple[int, int]] = set()
    stack = [folder]
    while stack:
        path = stack.pop()
        try:
            status = Path(path).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as found:
                entries = sorted((e for e in found if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            yield error
            continue
        stack.extend(e.path for e in reversed(entries) if e.is_dir())
        yield from (e.path for e in entries if e.is_file() or (e.is_symlink() and not Path(e.path).exists()))
