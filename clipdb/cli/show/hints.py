"""Commands that messages advise, completed so that they run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from clipdb.schema.names import is_url
from clipdb.stores.address import is_store

# What a message tells the user to run; other commands in backquotes are only mentioned.
_ADVICE = re.compile(r"(?P<before>\b(?:[Rr]un|then|with|by|try|see)) `clipdb (?P<words>(?P<verb>[a-z]+)\b[^`]*)`")
_TAKE_AN_INDEX = {
    "ingest", "span", "label", "judge", "review", "query", "explain", "segment", "ablate", "import", "export", "info",
    "verify",
}  # fmt: skip
_WRITE = {"ingest", "span", "label", "judge", "review"}
_NAMED = ("-i ", "--help", "--list", "...")


def runnable(text: str) -> str:
    """Add ``-i INDEX`` to the commands that a message advises, if the user named the index in that way.

    An export can't be written to: it has to be imported before the first of them that writes.
    """
    context = click.get_current_context(silent=True)
    index = context.meta.get("clipdb.index_typed") if context is not None else None
    if index is None:
        return text
    import_first = _import_first(index)

    def completed(advice: re.Match[str]) -> str:
        words = advice["words"]
        if advice["verb"] not in _TAKE_AN_INDEX or any(one in words for one in _NAMED):
            return advice[0]
        if import_first and advice["verb"] in _WRITE:
            return f"{advice['before']}{import_first}`clipdb {words}`"
        return f"{advice['before']} `clipdb {words} -i {shlex.quote(index)}`"

    return _ADVICE.sub(completed, text)


def _import_first(index: str) -> str:
    from clipdb.schema import catalog

    if is_store(index):
        return " on the index on disk that this came from, "
    if is_url(index):
        return " `clipdb import DIRECTORY` on a copy of this export, then "
    return f" `clipdb import {shlex.quote(index)}`, then " if catalog.is_artefact(Path(index)) else ""
