"""Read a person's file of minimal pairs, one row each, and hold its cells to what they can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from clipdb._util.text import first_line, quoted
from clipdb.errors import ClipdbError
from clipdb.ingest.images.sources.kinds.annotated import READERS
from clipdb.schema.names import MOST_PROPERTY

COLUMNS = ("image_a", "image_b", "attribute", "value_a", "value_b")


@dataclass(frozen=True)
class PairLine:
    """A row of the file: where it is, its images as they are written, what differs, and how."""

    place: str
    image_a: str
    image_b: str
    attribute: str
    value_a: str
    value_b: str


def read_pairs(path: Path) -> list[PairLine]:
    """Read every row.

    Raises
    ------
    ClipdbError
        If the file can't be read, lacks a column or has no rows, or a cell is empty or too long, or both values of a
        pair are the same: the message names the row.
    """
    wanted = f"a .csv, .jsonl or .parquet file with the columns {', '.join(COLUMNS)}"
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ClipdbError(f"cannot tell what {path} holds: give {wanted}")
    if not path.is_file():
        raise ClipdbError(f"no file {path}: give {wanted}", kind="absent")
    lines = []
    try:
        for number, row in enumerate(reader(str(path)), start=1):
            missing = [column for column in COLUMNS if column not in row]
            if missing:
                listed = ", ".join(map(str, row)) or "none"
                raise ClipdbError(
                    f"{path} row {number} has no {missing[0]!r} (it has {listed}): pairs have the columns "
                    f"{', '.join(COLUMNS)}"
                )
            lines.append(_line(f"{path} row {number}", {name: _text(row[name]) for name in COLUMNS}))
    except UnicodeDecodeError:
        raise ClipdbError(f"{path} is not UTF-8: save it as UTF-8") from None
    except (OSError, pa.ArrowException) as error:
        raise ClipdbError(f"cannot read {path}: {first_line(error)}") from error
    if not lines:
        raise ClipdbError(f"{path} has no pairs: write a row for each, in {wanted}")
    return lines


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _line(place: str, cells: dict[str, str]) -> PairLine:
    for name, cell in cells.items():
        if not cell:
            raise ClipdbError(f"{place}: the {name} is empty: fill it in, or take the row out")
        if len(cell) > MOST_PROPERTY and not name.startswith("image"):
            raise ClipdbError(f"{place}: the {name} is longer than {MOST_PROPERTY} characters: shorten it")
    if cells["value_a"] == cells["value_b"]:
        raise ClipdbError(
            f"{place}: both images have the {cells['attribute']} {quoted(cells['value_a'])}: a pair differs in it"
        )
    return PairLine(place, **cells)
