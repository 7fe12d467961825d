"""Read a file of published spans or names, and hold every cell of it to what a head, a rank or a name can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.names.head_file import HeadFile, Key, Line, Row, head_row, named
from clipdb.schema.names import MOST_PROPERTY, text_id


@dataclass(frozen=True)
class Published:
    """What a file says.

    Attributes
    ----------
    rows
        Rows by column name, in the file's order.
    ignored
        Names of the columns that were not read.
    """

    rows: list[Row]
    ignored: list[str]


def read_spans(path: Path, model_id: str | None = None) -> Published:
    """Read spans: one row per description of a head, with its rank.

    Parameters
    ----------
    path
        CSV or Parquet with the columns model, pretrained, layer, head, rank and text, and perhaps variance_explained.
        Columns and rows may come in any order.
    model_id
        ``ARCH/PRETRAINED`` of all rows, where the file has no columns model and pretrained.

    Raises
    ------
    ClipdbError
        One line with the file and, where that helps, the line in it: a column or cell is missing or wrong, or a head's
        ranks are not 1, 2, 3 and so on.
    """
    file = HeadFile(path, model_id, ("rank", "text"), ("variance_explained",))
    rows: list[Row] = []
    heads: dict[Key, dict[int, tuple[Line, Row]]] = {}
    for line in file.lines():
        key, rank, text = line.key(model_id), line.whole("rank", 1), line.words("text")
        ranks = heads.setdefault(key, {})
        if rank in ranks:
            raise line.wrong(f"{named(key)} has a rank {rank} already, in {ranks[rank][0].place}")
        row = head_row(key) | {"rank": rank, "text_id": text_id(text), "text": text}
        row["variance_explained"] = line.share("variance_explained")
        ranks[rank] = line, row
        rows.append(row)
    for key, ranks in heads.items():
        if gap := next((rank for rank in range(1, len(ranks) + 1) if rank not in ranks), None):
            raise ClipdbError(f"{path}: {named(key)} has a rank {max(ranks)} but no rank {gap}: number them from 1 on")
        _add_up([ranks[rank][1] for rank in sorted(ranks)])
    return Published(rows, file.ignored)


def read_labels(path: Path, model_id: str | None = None) -> Published:
    """Read names: one row per head, with its property.

    Parameters
    ----------
    path
        CSV or Parquet with the columns model, pretrained, layer, head and property, and perhaps confidence and
        rationale. Columns and rows may come in any order.
    model_id
        ``ARCH/PRETRAINED`` of all rows, where the file has no columns model and pretrained.

    Raises
    ------
    ClipdbError
        One line with the file and, where that helps, the line in it: a column or cell is missing or wrong, or a head
        has two rows that differ.
    """
    file = HeadFile(path, model_id, ("property",), ("confidence", "rationale"))
    heads: dict[Key, tuple[Line, Row]] = {}
    for line in file.lines():
        key = line.key(model_id)
        row = head_row(key) | {"property": line.name("property", MOST_PROPERTY)}
        row |= {"confidence": line.share("confidence"), "rationale": line.cells.get("rationale") or None}
        before, same = heads.setdefault(key, (line, row))
        if same != row:
            raise line.wrong(f"{named(key)} is named already, in {before.place}: keep one of the two")
    return Published([row for _, row in heads.values()], file.ignored)


def _add_up(spans: Sequence[Row]) -> None:
    """Add to spans, in order of rank, their cumulative variance, as far as each one's own is known."""
    explained = [row["variance_explained"] for row in spans]
    known = [] if None in explained else list(accumulate(explained))
    for row, so_far in zip(spans, known or [None] * len(spans), strict=True):
        row["cumulative_variance"] = so_far
