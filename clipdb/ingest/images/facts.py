"""Bring what the catalog says of known images up to date with what their source says now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from clipdb.ingest.images.sources.uri import found
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer

AT_ONCE = 8192
_FACTS = ("split", "label")

Row = dict[str, Any]


@dataclass
class KnownImages:
    """Images of a source that the index has already, waiting for a look at their rows.

    What the index doesn't know is filled in. What it knows otherwise stays, unless ``overwrite`` is set, and is
    counted. A path is replaced only if there is nothing at it any more.

    Attributes
    ----------
    updated
        Number of rows that were changed.
    differing
        By column, the number of images of which the index knows something else.
    example
        One of them, in words.
    """

    writer: Writer
    overwrite: bool
    updated: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    example: str = ""
    _waiting: list[Row] = field(default_factory=list)

    def offer(self, row: Row) -> None:
        """Take what a source says of a known image: the columns of ``images`` that sources know."""
        self._waiting.append(row)

    def settle(self, everything: bool = False) -> None:
        """Compare what waits with the catalog, if it is much or ``everything`` is asked for, and store what changes."""
        if not self._waiting or not (everything or len(self._waiting) >= AT_ONCE):
            return
        waiting, self._waiting = self._waiting, []
        columns = ("image_id", "uri", "width", "height", "format", "split", "label", "metadata")
        rows = self.writer.read(
            f"select {', '.join(columns)} from images where image_id in (select unnest(?::text[]))",
            list({row["image_id"] for row in waiting}),
        )
        stored = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
        changed = {}
        for offered in waiting:
            if (row := stored.get(offered["image_id"])) and self._merge(row, offered):
                changed[row["image_id"]] = row
        if changed:
            with self.writer.transaction() as connection:
                put(connection, "images", list(changed.values()), replace=True)
            self.updated += len(changed)

    def _merge(self, row: Row, offered: Row) -> bool:
        """Change a stored row by what a source says; tell whether anything changed."""
        before = dict(row)
        if offered["uri"] != row["uri"] and not found(row["uri"]):
            row["uri"] = offered["uri"]
        for name in _FACTS:
            row[name] = self._choose(row, name, row[name], offered[name])
        theirs = json.loads(offered["metadata"] or "{}")
        ours = json.loads(row["metadata"] or "{}")
        if theirs and isinstance(ours, dict):
            merged = ours | {key: self._choose(row, key, ours.get(key), value) for key, value in theirs.items()}
            if merged != ours:
                row["metadata"] = json.dumps(merged)
        return row != before

    def _choose(self, row: Row, name: str, ours: Any, theirs: Any) -> Any:
        """Choose between what the index and the source say; a list of text and one of numbers may mean the same."""
        if theirs is None or str(theirs) == str(ours):
            return ours
        if ours is None or self.overwrite:
            return theirs
        self.differing[name] += 1
        self.example = self.example or f"{row['uri']} has the {name} {ours!r}, not {theirs!r}"
        return ours


def facts_of(image_id: str, uri: str, split: str | None, label: str | None, metadata: Row | None) -> Row:
    """Lay out what a source says of an image as columns of ``images``."""
    text = json.dumps(metadata) if metadata else None
    return {"image_id": image_id, "uri": uri, "split": split, "label": label, "metadata": text}


def differences(known: KnownImages) -> Sequence[str]:
    """Return what the index keeps although the source says otherwise; nothing if they agree."""
    if not known.differing:
        return []
    counts = ", ".join(f"{name}: {count}" for name, count in known.differing.items())
    return [
        f"the index keeps what it says of images where the source differs ({counts}; {known.example}): "
        "--overwrite takes the source's word"
    ]
