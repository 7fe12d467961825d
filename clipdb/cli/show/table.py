"""Tables for people: aligned columns that fit the width, numbers at a readable precision.

Own code, because importing rich takes as long as the whole of a query may.
"""

from __future__ import annotations

import datetime
import os
import re
import shutil
import sys
import textwrap
from bisect import bisect_left
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from clipdb._util.text import printable

if TYPE_CHECKING:
    from decimal import Decimal

    from typing_extensions import TypeIs

Row = tuple[Any, ...]

PIPE_WIDTH = 120
_ID = re.compile(r"[0-9a-f]{64}")
_ID_SHOWN = 12  # of an image_id or text_id: commands take the beginning of one
_PATH = re.compile(r"/(\S+|.*\.\w{2,5})$")
_COPIED = ("model_id", "model")  # what the next command takes is not cut
_FIGURES = re.compile(r"-?[\d.]+(e[-+]?\d+)?( \[[^\]]*\])?")  # a number, perhaps with its interval
_GAP = "  "
_NARROWEST = 10  # a column of names is not cut shorter than this; columns that then don't fit are left out
_NARROWEST_PROSE = 15  # nor is one of texts of several words
_LONGEST_LIST = 12
_LISTED = 8  # columns that are named where there is no room for them


def terminal_width(stream: IO[str]) -> int:
    """Columns to fill: the terminal's, or `PIPE_WIDTH` where there is no terminal; ``COLUMNS`` goes before both."""
    if stream.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns
    return PIPE_WIDTH


def render(names: Sequence[str], rows: Sequence[Row], width: int, left_out: Sequence[str] = ()) -> str:
    """Draw a table no wider than ``width``: long texts are cut with an ellipsis, then columns are left out.

    Parameters
    ----------
    names, rows
        The table.
    width
        Of a line, in letters.
    left_out
        What the table lacks already, in words; a line below says it, beside the columns for which there is no room.
    """
    names = [printable(name) for name in names]
    cells, numeric = texts(names, rows)
    natural = [max([_wide(name), *(_wide(row[place]) for row in cells)]) for place, name in enumerate(names)]
    least, sentences = natural, [False] * len(names)
    if sum(natural) + len(_GAP) * (len(natural) - 1) > width:
        columns = [[row[place] for row in cells] for place in range(len(names))]
        sentences = [not right and _is_prose(column) for right, column in zip(numeric, columns, strict=True)]
        described = zip(names, natural, numeric, columns, strict=True)
        least = [
            size
            if right or _is_figures(column)
            else min(size, width // 2 if name in _COPIED else _least(name, column, width))
            for name, size, right, column in described
        ]
    shown, widths = _fit(natural, least, sentences, width)
    heading = [_cut(names[place], widths[place]) for place in shown]

    def line(row: Sequence[str]) -> str:
        drawn = (_pad(_cut(row[place], widths[place]), widths[place], numeric[place]) for place in shown)
        return _GAP.join(drawn).rstrip() + "\n"

    rule = _GAP.join("-" * widths[place] for place in shown) + "\n"
    head = _GAP.join(_pad(text, widths[place], numeric[place]) for place, text in zip(shown, heading, strict=True))
    # A note may hold a command, which has to be whole to be run.
    notes = [row[place] for place in shown for row in cells if names[place] == "note" and "`" in row[place]]
    whole = dict.fromkeys(f"{text}\n" for text in notes if _cut(text, widths[names.index("note")]) != text)
    note = _note(left_out, names[len(shown) :], width)
    return head.rstrip() + "\n" + rule + "".join([*map(line, cells), *whole]) + note


def _note(left_out: Sequence[str], no_room: Sequence[str], width: int) -> str:
    """Return what a table lacks and how to get it."""
    parts = [printable(part) for part in left_out]
    if no_room:
        more = f" and {len(no_room) - _LISTED} more" if len(no_room) > _LISTED else ""
        parts.append(f"no room for: {', '.join(map(printable, no_room[:_LISTED]))}{more}")
    if not parts:
        return ""
    how = "choose with --columns, or use -f csv" if no_room else "-f csv has all"
    return textwrap.fill(f"({'; '.join(parts)}; {how})", max(width, _NARROWEST), break_on_hyphens=False) + "\n"


def texts(names: Sequence[str], rows: Sequence[Row], whole_ids: bool = False) -> tuple[list[list[str]], list[bool]]:
    """Write every value for a person.

    Parameters
    ----------
    names, rows
        The table.
    whole_ids
        Write all 64 letters of an id.

    Returns
    -------
    tuple
        The cells, one list per row, and for each column whether it holds numbers.
    """
    columns = [[row[place] for row in rows] for place in range(len(names))]
    numeric = [
        any(value is not None for value in column) and all(value is None or _is_number(value) for value in column)
        for column in columns
    ]
    written = [_write_column(column) for column in columns]
    if not whole_ids:
        written = [[text[:_ID_SHOWN] if _ID.fullmatch(text) else text for text in column] for column in written]
    return [list(row) for row in zip(*written, strict=True)], numeric


def _is_number(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or _is_fraction(value)


def _is_fraction(value: Any) -> TypeIs[float | Decimal]:
    decimal = sys.modules.get("decimal")  # whoever made a Decimal has imported it
    return isinstance(value, float) or (decimal is not None and isinstance(value, decimal.Decimal))


def _write_column(column: Sequence[Any]) -> list[str]:
    fractions = [abs(float(value)) for value in column if _is_fraction(value)]
    largest = max((value for value in fractions if value < float("inf")), default=0.0)
    places = 4 if largest < 0.01 else 3 if largest < 10 else 2 if largest < 1000 else 1
    return [_write(value, places) for value in column]


def _write(value: Any, places: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if _is_fraction(value):
        number = float(value)
        small = 0.0 < abs(number) < 0.5 * 0.1**places
        return f"{number:.1e}" if small else f"{number:.{places}f}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, dict):
        return ", ".join(f"{printable(str(key))}: {_write(item, 3)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return _write_list(value)
    if isinstance(value, bytes):
        return value.hex()
    return printable(str(value))


def _write_list(value: Sequence[Any]) -> str:
    joint = "; " if any(isinstance(item, str) and (" " in item or "," in item) for item in value) else ", "
    if all(item is None or _is_number(item) for item in value) and len(value) > _LONGEST_LIST:
        return joint.join(_write(item, 3) for item in value[:3]) + f", ... ({len(value)} numbers)"
    return joint.join(_write(item, 3) for item in value)


def _is_figures(column: Sequence[str]) -> bool:
    """Whether a column has numbers with their intervals, which would be wrong ones if they were cut."""
    return any(column) and all(not text or _FIGURES.fullmatch(text) for text in column)


def _is_prose(column: Sequence[str]) -> bool:
    """Whether a column has texts of several words, of which a person wants more than of names and paths."""
    return any(" " in text and not _PATH.match(text) for text in column)


def _least(heading: str, column: Sequence[str], width: int) -> int:
    """Return how narrow texts may get: a seventh of the line, and names up to a quarter so that they differ."""
    if _is_prose(column):
        return max(_NARROWEST_PROSE, width // 7)
    names = {text for text in column if " " not in text}
    narrowest = _NARROWEST if len(names) < len(set(column)) else max(_NARROWEST, width // 6)
    widths = range(narrowest, max(narrowest, width // 4) + 1)
    enough = bisect_left(widths, len(names), key=lambda width: len({_cut(name, width) for name in names}))
    least = widths[enough] if enough < len(widths) else narrowest
    return max(least, min(_wide(heading), width // 4))


def _fit(
    natural: Sequence[int], least: Sequence[int], sentences: Sequence[bool], width: int
) -> tuple[list[int], list[int]]:
    """Choose the columns that fit and how wide each is: the widest give way first, and names before sentences."""
    shown: list[int] = []
    used = -len(_GAP)
    for place, size in enumerate(least):
        used += size + len(_GAP)
        if used > width and shown:
            break
        shown.append(place)
    room = width - len(_GAP) * (len(shown) - 1)
    widths = [natural[place] for place in shown]
    for giving in (False, True):
        places = [place for place in shown if sentences[place] == giving]
        cap = max((natural[place] for place in places), default=0)
        while cap > _NARROWEST and sum(widths) > room:
            cap -= 1
            for place in places:
                widths[place] = max(least[place], min(natural[place], cap))
    return shown, widths


def _wide(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _cut(text: str, width: int) -> str:
    if _wide(text) <= width:
        return text
    if _PATH.match(text):  # the end of a path says more than its beginning
        while _wide(text) > width - 1:
            text = text[max(1, (_wide(text) - width) // 2) :]
        return "…" + text
    while _wide(text) > width - 1:
        text = text[: -max(1, (_wide(text) - width) // 2)]
    return text.rstrip() + "…"


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _wide(text))
    return space + text if right else text + space
