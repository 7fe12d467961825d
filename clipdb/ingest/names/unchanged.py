"""Labels and verdicts that say something new: what is as it was said last is not written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Reader, Writer


@dataclass(frozen=True)
class Labelled:
    """What came of naming heads.

    Attributes
    ----------
    named
        Heads with a new name, or one that is given again for other reasons than before.
    nameless
        Heads without a name, newly or for other reasons than before.
    same
        Heads whose newest label by this labeller says the same already.
    nameless_are
        What heads without a name lack, in words.
    """

    named: int
    nameless: int
    same: int
    nameless_are: str = "without a name"


@dataclass(frozen=True)
class Judged:
    """What came of judging spans: new verdicts, those that were given before, and what to know of the judge."""

    verdicts: int
    same: int
    note: str = ""


# Of each table: whose word about what a row is, what it says, and which is the newest.
_TABLES = {
    "labels": (
        ("model_id", "layer", "head", "pool", "labeller"),
        ("property", "confidence", "rationale", "status"),
        "created_at desc, run desc",
    ),
    "judgements": (
        ("model_id", "layer", "head", "text_id", "property", "judge"),
        ("verdict", "status"),
        "run desc",
    ),
}


def news(reader: Reader, table: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out rows that say what the newest of the same labeller or judge about the same says already.

    Parameters
    ----------
    table
        ``labels`` or ``judgements``.
    rows
        With its columns.
    """
    about, says, order = _TABLES[table]
    stored = reader.read(
        f"select {', '.join(about)}, {', '.join(says)} from {table} "
        f"qualify row_number() over (partition by {', '.join(about)} order by {order}) = 1"
    )
    newest = {row[: len(about)]: row[len(about) :] for row in stored}
    return [row for row in rows if newest.get(tuple(row[k] for k in about)) != tuple(row[k] for k in says)]


def store_news(writer: Writer, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write the rows that say something new; say how many they are."""
    new = news(writer, table, rows)
    writer.added, writer.skipped = len(new), len(rows) - len(new)
    if new:
        with writer.transaction() as connection:
            put(connection, table, new)
    return len(new)
