"""Read a person's file with a row for each of something of a head, and hold its cells to what they can be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from clipdb._util.text import quoted
from clipdb.errors import ClipdbError
from clipdb.ingest.store.rows import put
from clipdb.pools.tabular import PARQUET, read_bytes, text_rows
from clipdb.schema.layer_choice import heads_there_are
from clipdb.schema.names import MOST_NAME, POOL, head_name, is_name, model_slug

_MODEL = ("model", "pretrained")
_HEAD = ("layer", "head")
_NUMBER = re.compile(r"[0-9]{1,9}")  # any of these fits an INTEGER

NOT_IN_A_NAME = " \t\r\n.,;:!?"
"""What properties are compared without (the macro normal_property)."""

Key = tuple[str, int, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of the file: where it is, and its cells by column."""

    place: str
    cells: Mapping[str, str]

    def wrong(self, problem: str) -> ClipdbError:
        """Make an error that says where the row is."""
        return ClipdbError(f"{self.place}: {problem}")

    def whole(self, column: str, least: int) -> int:
        """Return a cell as a whole number, or raise ClipdbError."""
        cell = self.cells[column]
        if not _NUMBER.fullmatch(cell) or int(cell) < least:
            raise self.wrong(f"the {column} is {quoted(cell)}: write a whole number, counted from {least}")
        return int(cell)

    def words(self, column: str, beside: str = "") -> str:
        """Return a cell in which there is something beside some characters, or raise ClipdbError."""
        cell = self.cells.get(column, "")
        if not cell.strip(beside):
            raise self.wrong(f"the {column} is empty: fill it in, or take the row out")
        return cell

    def name(self, column: str, most: int = MOST_NAME) -> str:
        """Return a cell that names something, on one line, or raise ClipdbError."""
        cell = self.words(column, beside=NOT_IN_A_NAME)
        if not is_name(cell, most):
            raise self.wrong(
                f"the {column} is {quoted(cell)}: write at most {most} characters without tabs and control characters"
            )
        return cell

    def share(self, column: str) -> float | None:
        """Return a cell as a fraction, None where it is empty, or raise ClipdbError."""
        return self.number(column, 0, 1, "a fraction from 0 to 1")

    def number(self, column: str, least: float, most: float, wanted: str) -> float | None:
        """Return a cell as a number in a range, None where it is empty, or raise ClipdbError."""
        cell = self.cells.get(column, "")
        if not cell:
            return None
        try:
            number = float(cell if cell.isascii() else "nan")  # Python reads all digits of Unicode
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise self.wrong(f"the {column} is {quoted(cell)}: write {wanted}, or leave it empty")
        return number

    def key(self, model_id: str | None) -> Key:
        """Return the row's head: its model's id, its layer, its number; or raise ClipdbError."""
        if model_id is None:
            model_id = "/".join(self.cells[column] for column in _MODEL)
            try:
                model_slug(model_id)
            except ClipdbError as error:
                raise self.wrong(str(error)) from None
        return model_id, self.whole("layer", POOL), self.whole("head", 0)


@dataclass
class HeadFile:
    """A file and the columns that are wanted of it; ``ignored`` are the others."""

    path: Path
    model_id: str | None
    needed: Sequence[str]
    optional: Sequence[str]
    ignored: list[str] = field(default_factory=list)

    def lines(self) -> list[Line]:
        """Read the rows, of which there is at least one."""
        if self.model_id is not None:
            model_slug(self.model_id)
        columns = ", ".join((*_MODEL, *_HEAD, *self.needed))
        data = read_bytes(self.path, {".csv", *PARQUET}, f"a .csv or .parquet file with columns {columns}")
        names: list[str] = []

        def choose(header: Sequence[str]) -> list[int]:
            places = self._places(header)
            names.extend(places)
            return list(places.values())

        rows = text_rows(self.path, data, choose) if data else ()
        lines = [Line(place, dict(zip(names, cells, strict=True))) for place, cells in rows]
        if not lines:
            raise ClipdbError(f"{self.path} is empty: write a row for each of its columns {columns}")
        return lines

    def _places(self, header: Sequence[str]) -> dict[str, int]:
        folded = [name.strip().casefold() for name in header]
        for name in (*_HEAD, *self.needed):
            if name not in folded:
                listed = ", ".join(header) or "none"
                raise ClipdbError(f"{self.path} has no column {name!r} (its columns: {listed}): add it to the file")
        self._check_model([name for name in _MODEL if name in folded])
        wanted = [name for name in (*_MODEL, *_HEAD, *self.needed, *self.optional) if name in folded]
        for name in wanted:
            if folded.count(name) > 1:
                raise ClipdbError(f"{self.path} has the column {name!r} twice: keep one of the two")
        self.ignored = [name for name, fold in zip(header, folded, strict=True) if fold not in wanted]
        return {name: folded.index(name) for name in wanted}

    def _check_model(self, said: Sequence[str]) -> None:
        """Check that the model comes either from the file or from the command line."""
        if self.model_id is not None and said:
            raise ClipdbError(f"{self.path} has the column {said[0]!r}: leave out --model, or that column")
        if self.model_id is None and len(said) < len(_MODEL):
            missing = " and ".join(repr(name) for name in _MODEL if name not in said)
            raise ClipdbError(
                f"{self.path} has no column {missing}: add it, or give --model ARCH/PRETRAINED for a file with neither"
            )


def check_heads(connection: duckdb.DuckDBPyConnection, file: Path, keys: Set[Key]) -> None:
    """Check that the heads are heads of those models that the index has.

    Raises
    ------
    ClipdbError
        If one is none.
    """
    sizes = "select model_id, layers, heads, coalesce(pool_heads, 0) from models"
    for model, layers, heads, pool_heads in connection.execute(sizes).fetchall():
        wrong = [
            (layer, head)
            for one, layer, head in keys
            if one == model and (layer >= layers or head >= (pool_heads if layer == POOL else heads))
        ]
        if wrong:
            there = heads_there_are(layers, heads, pool_heads)
            raise ClipdbError(f"{file}: {model} has {there}, no {head_name(*min(wrong))}")


def put_heads(connection: duckdb.DuckDBPyConnection, keys: Set[Key]) -> None:
    """Add the heads that the index lacks, without vectors."""
    put(connection, "head_statistics", [head_row(key) for key in sorted(keys)])


def head_row(key: Key) -> Row:
    """Return a head's key as columns."""
    return dict(zip(("model_id", "layer", "head"), key, strict=True))


def named(key: Key) -> str:
    """Write a head for messages: ``L11.H3 of ARCH/PRETRAINED``."""
    return f"{head_name(*key[1:])} of {key[0]}"
