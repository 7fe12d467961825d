"""What a table for people leaves out, so that its texts get the room: said below it, and whole in every other form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = tuple[Any, ...]
Interval = tuple[str, str, str]
"""Columns of a figure and of the ends of its interval."""

SAID_ONCE = ("model_id", "labeller", "pool", "judge", "note", "started_at")
"""Columns that say whose rows these are: one value in all rows is said once."""


def shorten(
    names: Sequence[str], rows: Sequence[Row], intervals: Sequence[Interval] = ()
) -> tuple[list[str], list[Row], list[str]]:
    """Leave out what every row repeats and what no row has, and write intervals beside their figures.

    Parameters
    ----------
    names, rows
        The table.
    intervals
        Which columns belong together.

    Returns
    -------
    names, rows, left_out
        The shorter table, and what was left out, in words.
    """
    names, rows = _with_intervals(names, rows, intervals)
    columns = [[row[place] for row in rows] for place in range(len(names))]
    once = {name: str(column[0]) for name, column in zip(names, columns, strict=True) if _is_said_once(name, column)}
    empty = [name for name, column in zip(names, columns, strict=True) if column and not any(map(_is_there, column))]
    kept = [place for place, name in enumerate(names) if name not in once and name not in empty]
    if not kept:
        return names, rows, []
    left_out = []
    if once:
        left_out.append(f"in all rows: {', '.join(f'{name} {value}' for name, value in once.items())}")
    if empty:
        left_out.append(f"empty: {', '.join(empty)}")
    return [names[place] for place in kept], [tuple(row[place] for place in kept) for row in rows], left_out


def _is_there(value: Any) -> bool:
    return value is not None


def _is_said_once(name: str, column: Sequence[Any]) -> bool:
    alone = bool(column) and column[0] is not None and all(value == column[0] for value in column)
    return alone and name in SAID_ONCE and (name == "model_id" or len(column) > 1)


def _with_intervals(
    names: Sequence[str], rows: Sequence[Row], intervals: Sequence[Interval]
) -> tuple[list[str], list[Row]]:
    """Put ``0.958 [0.875, 1.000]`` in the place of three columns."""
    from clipdb.cli.show.table import texts

    there = [columns for columns in intervals if set(columns) <= set(names)]
    ends = {name for _, *both in there for name in both}
    kept = [place for place, name in enumerate(names) if name not in ends]
    folded = {}
    for figure, low, high in there:
        places = [names.index(column) for column in (figure, low, high)]
        # As one column, so that all three have as many decimals.
        cells = [cell for (cell,) in texts(("",), [(row[place],) for row in rows for place in places])[0]]
        triples = zip(cells[::3], cells[1::3], cells[2::3], strict=True)
        folded[places[0]] = [f"{a} [{b}, {c}]" if b and c else a or None for a, b, c in triples]
    shorter = [
        tuple(folded[place][number] if place in folded else row[place] for place in kept)
        for number, row in enumerate(rows)
    ]
    return [names[place] for place in kept], shorter
