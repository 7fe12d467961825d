"""The process that runs an index's models for the explorer: the end of the pipe that imports torch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from io import BytesIO
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    from clipdb.queries.index import Index

_QUALITY = 85


def main() -> None:
    """Open an index and answer questions until the pipe closes."""
    from clipdb.api.opening import open as open_index

    connection = Connection(int(sys.argv[1]))
    options = connection.recv()
    index: Index | None = None
    said = _Said()
    logging.getLogger("clipdb").addHandler(said)
    while True:
        try:
            operation, arguments = connection.recv()
        except EOFError:
            return
        try:
            if index is None:
                index = open_index(**options)
            index.refresh()
            connection.send((_OPERATIONS[operation](index, *arguments), None, said.taken()))
        except ClipdbError as error:
            connection.send((None, (str(error), error.kind), said.taken()))


class _Said(logging.Handler):
    """Collects what clipdb says beside its results, for the page that asked."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._notes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a note."""
        self._notes.append(record.getMessage().removeprefix("note: "))

    def taken(self) -> list[str]:
        """Return the notes since the last call."""
        notes, self._notes = self._notes, []
        return notes


def _image(index: Index, model: str, data: bytes, name: str) -> Any:
    return index.context.subjects.embedder.image(model, data, name)


def _texts(index: Index, model: str, texts: list[str]) -> Any:
    return index.context.subjects.embedder.texts(model, texts)


def _split(index: Index, model: str, text: str, along: Any) -> Any:
    return index.context.subjects.embedder.split_text(model, text, along)


def _segment(
    index: Index, model: str, image: str, text: str, against: str | None, heads: tuple[str, ...], property: str | None
) -> dict[str, Any]:
    """Segment a picture, and draw it without and with the shares."""
    from clipdb.api.segmenting import segment
    from clipdb.pictures.overlay import panels

    found = segment(index, image, text, against, heads=heads, property=property, model=model)
    pictures = []
    for panel in panels(found):
        made = BytesIO()
        panel.save(made, "WEBP", quality=_QUALITY)
        pictures.append(made.getvalue())
    return {
        "heads": len(found.heads),
        "total": found.total,
        "cosine": found.cosine,
        "others": found.others,
        "plain": pictures[0],
        "mapped": pictures[1],
    }


_OPERATIONS: dict[str, Callable[..., Any]] = {"image": _image, "texts": _texts, "split": _split, "segment": _segment}

if __name__ == "__main__":
    main()
