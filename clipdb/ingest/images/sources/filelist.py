"""A text file that names images, one path or ``file://`` URI a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.expand import absolute, local_path
from clipdb.ingest.images.sources.item import SourceItem, file_item


class FileList:
    """The images that the text file or pipe `path` names; ``-`` reads standard input.

    Paths are relative to the list's own folder, those from a pipe to the working directory. Blank lines and
    lines that begin with ``#`` are skipped.

    Raises
    ------
    ClipdbError
        When the list names nothing, or a URL.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # a pipe can be read only once
        self._piped = None if path != "-" and Path(path).is_file() else _read(path).splitlines()
        self._base = absolute("." if self._piped is not None else str(Path(path).parent))
        self.total = sum(1 for _ in self._paths())
        if not self.total:
            name = "standard input" if path == "-" else path
            raise ClipdbError(f"{name} names no images: write one path a line")

    def __iter__(self) -> Iterator[SourceItem]:
        """Yield the images in the list's order."""
        return map(file_item, self._paths())

    def _paths(self) -> Iterator[str]:
        """Yield the absolute path of each line that names one."""
        for number, line in enumerate(self._lines(), 1):
            name = line.strip()
            if not name or name.startswith("#"):
                continue
            try:
                yield absolute(local_path(name), self._base)
            except ClipdbError as error:
                raise ClipdbError(f"{self.path}, line {number}: {error}") from None

    def _lines(self) -> Iterator[str]:
        """Yield the lines anew on every pass, without holding those of a file."""
        if self._piped is not None:
            yield from self._piped
            return
        with Path(self.path).open(encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from file


def _read(pipe: str) -> str:
    """Read all of a pipe or of standard input."""
    if pipe == "-":
        return sys.stdin.read()
    return Path(pipe).read_text("utf-8", "surrogateescape")
