"""What a person may type for SRC: braces, globs and ``file://`` become paths."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.files import below, expand_stored
from clipdb.stores.address import StoreAddress, is_store

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_TOOLS = {"hf": "`hf download`"}


def expand(source: str) -> Iterator[str]:
    """Yield the absolute paths, or the addresses in a store, that `source` stands for, each of which exists.

    Raises
    ------
    ClipdbError
        For a URL, a missing path, or a glob that matches nothing.
    """
    if is_store(source):
        for name in _braces(source):
            yield from expand_stored(name)
        return
    path = local_path(source)
    if os.path.exists(path):  # noqa: PTH110 - Path.exists raises on names that are too long
        yield absolute(path)
        return
    for name in _braces(path):
        found = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else [name]  # noqa: PTH207
        if not found:
            raise ClipdbError(f"nothing matches {name}: check the pattern", kind="absent")
        for one in found:
            if not os.path.exists(one):  # noqa: PTH110
                raise ClipdbError(f"no such file or folder: {one}", kind="absent")
            yield absolute(one)


def absolute(path: str, base: str = "") -> str:
    """Return `path`, relative to `base` or the working directory, as absolute; links stay, ``..`` goes."""
    return os.path.abspath(Path(base, path))  # noqa: PTH100 - Path.resolve would name the target of a link


def resolved(name: str, folder: str) -> str:
    """Return the absolute path, or the address in a store, that a list in a folder means by a name.

    Raises
    ------
    ClipdbError
        For any other URL, and an address that is none.
    """
    if is_store(name):
        return str(StoreAddress(name))
    path = local_path(name)
    return below(folder, path) if is_store(folder) and not path.startswith("/") else absolute(path, folder)


def local_path(source: str) -> str:
    """Return the path in `source`, which may be a ``file://`` URI.

    Raises
    ------
    ClipdbError
        For any other URL.
    """
    if not _URL.match(source):
        return str(Path(source).expanduser()) if source.startswith("~") else source
    parts = urlsplit(source)
    scheme = parts.scheme.lower()
    if scheme == "file" and parts.netloc in ("", "localhost"):
        return unquote(source.split("://", 1)[1].removeprefix(parts.netloc), errors="surrogateescape")
    tool = _TOOLS.get(scheme, "`curl -LO` or `wget`")
    raise ClipdbError(
        f"{source} is not on this machine: download it first (with {tool}), then give its path", kind="absent"
    )


def _braces(pattern: str) -> Iterator[str]:
    """Expand ``{a,b}`` and ``{000..012}`` as the shell does; other braces stay."""
    for match in _BRACES.finditer(pattern):
        body, before, after = match[1], pattern[: match.start()], pattern[match.end() :]
        bounds = _RANGE.fullmatch(body)
        words: Iterator[str]
        if bounds:
            first, last = int(bounds[1]), int(bounds[2])
            width = max(map(len, bounds.groups())) if any(b.startswith("0") for b in bounds.groups()) else 0
            step = 1 if last >= first else -1
            words = (f"{number:0{width}d}" for number in range(first, last + step, step))
        elif "," in body:
            words = iter(body.split(","))
        else:
            continue
        for word in words:
            for rest in _braces(after):
                yield before + word + rest
        return
    yield pattern
