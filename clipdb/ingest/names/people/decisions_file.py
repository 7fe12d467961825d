"""Read a file of people's decisions, as `clipdb export reviews` writes it or a person types it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clipdb._util.text import quoted
from clipdb.ingest.names.head_file import HeadFile, Line, Row, head_row
from clipdb.ingest.names.people.decisions import HUMAN
from clipdb.schema.names import MOST_PROPERTY, text_id

_STATUS = {"named": "ok", "rejected": "rejected"}
_VERDICT = {"fits": True, "does not fit": False, "unsure": None}
_RUN = re.compile(r"\d{8}T\d{12}-[0-9a-f]{4}")
_NEEDED = ("reviewer", "decision", "property")
_OPTIONAL = ("pool", "text", "rating", "decided_at", "run")


@dataclass(frozen=True)
class Reviews:
    """What a file says: rows of labels and of judgements, whose run and time are None where the file has none.

    Attributes
    ----------
    labels, judgements
        Rows by column name, each with `place`: where it is in the file. Those of judgements have their `text`.
    ignored
        Names of the columns that were not read.
    """

    labels: list[Row]
    judgements: list[Row]
    ignored: list[str]


def read_reviews(path: Path, model_id: str | None = None) -> Reviews:
    """Read decisions on names (named, rejected) and verdicts on descriptions (fits, does not fit, unsure).

    Parameters
    ----------
    path
        CSV or Parquet with the columns model, pretrained, layer, head, reviewer, decision and property; pool where the
        decision is on a name, text where it is on a description; and perhaps rating (1 to 5), decided_at and run.
    model_id
        ``ARCH/PRETRAINED`` of all rows, where the file has no columns model and pretrained.

    Raises
    ------
    ClipdbError
        One line with the file and the line in it: a column or cell is missing or wrong.
    """
    file = HeadFile(path, model_id, _NEEDED, _OPTIONAL)
    reviews = Reviews([], [], [])
    for line in file.lines():
        decision = line.words("decision").casefold()
        row = head_row(line.key(model_id)) | {"place": line, "run": _run(line)}
        row |= {"property": line.name("property", MOST_PROPERTY)}
        who = HUMAN + line.name("reviewer")
        if decision in _STATUS:
            rating = line.number("rating", 1, 5, "a number from 1 to 5")
            row |= {"pool": line.name("pool"), "labeller": who, "status": _STATUS[decision]}
            row |= {"confidence": None if rating is None else (rating - 1) / 4, "created_at": _time(line)}
            reviews.labels.append(row)
        elif decision in _VERDICT:
            text = line.words("text")
            row |= {"text_id": text_id(text), "text": text, "judge": who}
            row |= {"verdict": _VERDICT[decision], "status": "ok"}
            reviews.judgements.append(row)
        else:
            known = ", ".join([*_STATUS, *_VERDICT])
            raise line.wrong(f"the decision is {quoted(line.cells['decision'])}: write one of {known}")
    reviews.ignored.extend(file.ignored)
    return reviews


def _run(line: Line) -> str | None:
    # Runs sort by their ids: one that a person makes up could stand for the newest for ever.
    cell = line.cells.get("run") or None
    if cell is not None and not _RUN.fullmatch(cell):
        raise line.wrong(f"the run is {quoted(cell)}: leave it as it was exported, or empty")
    return cell


def _time(line: Line) -> datetime | None:
    cell = line.cells.get("decided_at")
    if not cell:
        return None
    try:
        time = datetime.fromisoformat(cell)
    except ValueError:
        raise line.wrong(f"decided_at is {quoted(cell)}: write 2025-01-31T12:00:00Z, or leave it empty") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
