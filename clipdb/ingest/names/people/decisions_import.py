"""Import people's decisions from a file; the same file again changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from clipdb.ingest.names.head_file import Key, Row, check_heads, put_heads
from clipdb.ingest.names.people.decisions_file import Reviews, read_reviews
from clipdb.ingest.store.rows import put
from clipdb.ingest.store.writer import Writer
from clipdb.schema import catalog
from clipdb.schema.connections import closing

_HEAD = ("model_id", "layer", "head")
_KEYS = {
    "labels": (*_HEAD, "pool", "labeller"),
    "judgements": (*_HEAD, "text_id", "property", "judge"),
}
_SAID = {
    "labels": ("property", "status", "confidence"),
    "judgements": ("verdict",),
}


@dataclass(frozen=True)
class Reviewed:
    """Decisions of a file that were ``added`` and ``skipped``, since the index had them; and columns ``ignored``."""

    added: int
    skipped: int
    ignored: list[str]


def import_reviews(index: Path, file: Path, model_id: str | None = None) -> Reviewed:
    """Import a file of people's decisions.

    A row keeps the run and the time that the file gives it. One without a run is new where the reviewer's newest
    decision of that kind is another one, and counts from now on.

    Parameters
    ----------
    index
        Directory of the index; made if it doesn't exist.
    file, model_id
        As `read_reviews` takes them.

    Raises
    ------
    ClipdbError
        If the file is not as it should be, or says of a run's decision something else than the index; nothing is
        written then.
    """
    reviews = read_reviews(file, model_id)
    total = len(reviews.labels) + len(reviews.judgements)
    if catalog.exists(index):
        with closing(catalog.connect(index)) as connection:
            if not any(_new(connection, reviews, "").values()):
                return Reviewed(0, total, reviews.ignored)
    with (
        Writer(index, "import reviews", {"file": str(file), "model": model_id}, create=True) as writer,
        writer.transaction() as connection,
    ):
        new = _new(connection, reviews, writer.run)
        heads: set[Key] = {(row["model_id"], row["layer"], row["head"]) for rows in new.values() for row in rows}
        check_heads(connection, file, heads)
        put_heads(connection, heads)
        texts = {row["text_id"]: row.pop("text") for row in new["judgements"]}
        put(connection, "texts", [{"text_id": text_id, "text": text} for text_id, text in texts.items()])
        for table, rows in new.items():
            put(connection, table, rows)
        writer.added = sum(map(len, new.values()))
        writer.skipped = total - writer.added
        return Reviewed(writer.added, writer.skipped, reviews.ignored)


def _new(connection: duckdb.DuckDBPyConnection, reviews: Reviews, run: str) -> dict[str, list[Row]]:
    """Return the rows that the index lacks, by table, with their run."""
    return {
        "labels": _lacking(connection, "labels", reviews.labels, run),
        "judgements": _lacking(connection, "judgements", reviews.judgements, run),
    }


def _lacking(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row], run: str) -> list[Row]:
    who, key, said = _KEYS[table][-1], _KEYS[table], _SAID[table]
    stored = connection.execute(
        f"select {', '.join((*key, 'run', *said))} from {table} where {who} like 'human:%' order by run"
    ).fetchall()
    # By run, and without one the newest: run ids sort by time.
    known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for one in stored:
        known[one[: len(key) + 1]] = known[*one[: len(key)], None] = one[len(key) + 1 :]
    new = []
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        place = (*(row[name] for name in key), row["run"])
        first = seen.setdefault(place, row)
        if any(first[name] != row[name] for name in said):
            raise row["place"].wrong(
                f"{row[who]} decided on this already, in {first['place'].place}: keep one of the two"
            )
        before, says = known.get(place), tuple(row[name] for name in said)
        if first is not row or before == says:
            continue
        if before is not None and row["run"] is not None:
            raise row["place"].wrong(f"{row[who]} said something else in the run {row['run']}: empty the column run")
        kept = {name: value for name, value in row.items() if name != "place"} | {"run": row["run"] or run}
        if table == "labels":
            kept["created_at"] = row["created_at"] or datetime.now(UTC)
        new.append(kept)
    return new
