"""A text file that names images, one path, ``file://`` URI or address in a store a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.expand import absolute, resolved
from clipdb.ingest.images.sources.files import folder_of, is_file, open_file, open_text
from clipdb.ingest.images.sources.item import SourceItem, file_item
from clipdb.ingest.images.sources.source import Source
from clipdb.stores.address import is_store


class FileList(Source):
    """The images that the text file or pipe `path` names; ``-`` reads standard input.

    Paths are relative to the list's own folder, those from a pipe to the working directory. Blank lines and
    lines that begin with ``#`` are skipped.

    Raises
    ------
    ClipdbError
        When the list names nothing, or any other URL.
    """

    order = 4  # any text may be one
    listed = True

    def __init__(self, path: str) -> None:
        super().__init__(path)
        # a pipe can be read only once
        self._piped = None if path != "-" and is_file(path) else _read(path).splitlines()
        self._base = absolute(".") if self._piped is not None else folder_of(path)
        self.total = sum(1 for _ in self._paths())
        if not self.total:
            name = "standard input" if path == "-" else path
            raise ClipdbError(f"{name} names no images: write one path a line")

    @classmethod
    def accepts(cls, path: str) -> bool:
        """Return whether a path is a pipe or a file of text."""
        if not is_file(path):
            return not is_store(path)
        with open_file(path) as file:
            return b"\0" not in file.read(4096)

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
                yield resolved(name, self._base)
            except ClipdbError as error:
                raise ClipdbError(f"{self.path}, line {number}: {error}") from None

    def _lines(self) -> Iterator[str]:
        """Yield the lines anew on every pass, without holding those of a file."""
        if self._piped is not None:
            yield from self._piped
            return
        with open_text(self.path, encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from file


def _read(pipe: str) -> str:
    """Read all of a pipe or of standard input."""
    if pipe == "-":
        return sys.stdin.read()
    return Path(pipe).read_text("utf-8", "surrogateescape")


SOURCE = FileList
