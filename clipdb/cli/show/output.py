"""Results in the form that was asked for."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from clipdb._util.text import escaped, plain
from clipdb.cli.show.form import TEXT_FORMATS, Output
from clipdb.cli.show.hints import runnable
from clipdb.errors import ClipdbError
from clipdb.plugins import load
from clipdb.schema.leftovers import replacing

if TYPE_CHECKING:
    import duckdb

    from clipdb.cli.show.shortened import Interval
    from clipdb.queries.named.sql_files import NamedQuery

Row = tuple[Any, ...]

_FETCH = 2000


def write_result(result: duckdb.DuckDBPyConnection, output: Output, query: NamedQuery | None = None) -> int:
    """Write the rows of a query that was executed.

    Parameters
    ----------
    result
        A connection with rows to fetch.
    output
        Form and place; its limit counts where there is one (0: all rows).
    query
        The named query, if it is one: its own limit on printed rows (when it cuts, stderr says so), what to do where
        there is no row, and its intervals. SQL of a person's own has every column that it asks for.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    ClipdbError
        If the file can't be written, or a column that was chosen is not there.
    """
    if result.description is None:
        return 0
    cap = output.limit if output.limit is not None or query is None else query.limit
    names = _unique([column[0] for column in result.description])
    chosen = _chosen(names, output)
    if output.format == "parquet":
        table = result.to_arrow_table(_FETCH).rename_columns(names)
        table = table.slice(0, cap) if cap else table
        _save_parquet(table.select(chosen), output)
        return int(table.num_rows)
    json_columns = [str(column[1]) == "JSON" for column in result.description]
    rows = _Rows(result, cap)
    with _stream(output.path) as stream:
        if names == ["explain_key", "explain_value"] and output.format == "table":
            stream.writelines(f"{plain(line)}\n" for _, plan in rows for line in str(plan).splitlines())
        else:
            intervals = None if query is None else query.intervals
            _write(names, chosen, iter(rows), json_columns, output, stream, intervals)
    if output.format == "table" and not rows.count:
        empty = query.empty if query is not None else None
        print(runnable(f"No rows: {empty}.") if empty else "No rows.", file=sys.stderr)
    if rows.cut and output.limit is None:
        print(f"The first {cap} rows; --limit N prints more, --limit 0 all.", file=sys.stderr)
    return rows.count


def write_rows(
    names: Sequence[str],
    rows: Sequence[Row],
    output: Output,
    intervals: Sequence[Interval] | None = (),
    json_columns: Sequence[bool] | None = None,
) -> None:
    """Write rows that Python has.

    Parameters
    ----------
    names, rows
        The table.
    output
        Form and place.
    intervals
        Columns of a figure and of the ends of its interval, which a table for people shows as one; None for SQL of a
        person's own, which has every column that it asks for.
    json_columns
        Which columns are JSON as text; none by default.

    Raises
    ------
    ClipdbError
        If the file can't be written, or a column that was chosen is not there.
    """
    names = _unique(names)
    if output.limit:
        rows = rows[: output.limit]
    chosen = _chosen(names, output)
    if output.format == "parquet":
        import pyarrow as pa

        columns = [pa.array([row[place] for row in rows]) for place in range(len(names))]
        _save_parquet(pa.table(columns, names=names).select(chosen), output)
        return
    with _stream(output.path) as stream:
        _write(names, chosen, iter(rows), json_columns or [False] * len(names), output, stream, intervals)


def _chosen(names: Sequence[str], output: Output) -> list[int]:
    """Return the places of the columns to write."""
    if unknown := [name for name in output.columns if name not in names]:
        raise ClipdbError(f"--columns names {unknown[0]!r}, and the columns are {', '.join(names)}")
    return [names.index(name) for name in output.columns] or list(range(len(names)))


class _Rows:
    """Rows as they come, up to a cap; knows how many came and whether there were more."""

    def __init__(self, result: duckdb.DuckDBPyConnection, cap: int | None) -> None:
        self._result = result
        self._cap = cap or None
        self.count = 0
        self.cut = False

    def __iter__(self) -> Iterator[Row]:
        while rows := self._result.fetchmany(_FETCH):
            for row in rows:
                if self.count == self._cap:
                    self.cut = True
                    return
                self.count += 1
                yield row


def _unique(names: Sequence[str]) -> list[str]:
    """Number names that come again (``image_id``, ``image_id_1``), so that an object keeps both."""
    unique: list[str] = []
    for name in names:
        number, tried = 0, name
        while tried in unique:
            number += 1
            tried = f"{name}_{number}"
        unique.append(tried)
    return unique


def _write(
    names: Sequence[str],
    chosen: Sequence[int],
    rows: Iterator[Row],
    json_columns: Sequence[bool],
    output: Output,
    stream: IO[str],
    intervals: Sequence[Interval] | None,
) -> None:
    """Write the columns that were chosen; a table for people is shortened unless a person chose its columns."""
    names, json_columns = [names[place] for place in chosen], [json_columns[place] for place in chosen]
    rows = (tuple(row[place] for place in chosen) for row in rows)
    if output.format == "table":
        from clipdb.cli.show.shortened import shorten
        from clipdb.cli.show.table import render, terminal_width

        table, left_out = list(rows), list[str]()
        if intervals is not None and not output.columns:
            names, table, left_out = shorten(names, table, intervals)
        stream.write(render(names, table, terminal_width(stream), left_out))
        return
    load("formats", TEXT_FORMATS, output.format, "write")(names, rows, json_columns, stream)


class _Terminal(io.TextIOBase):
    """Standard output where a person reads it: no cell or name may steer the terminal, whatever the format."""

    def isatty(self) -> bool:
        """State that it is one."""
        return True

    def write(self, text: str) -> int:
        """Write a text with control characters escaped."""
        return sys.stdout.write(escaped(text))


@contextmanager
def _stream(path: Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield cast(IO[str], _Terminal()) if sys.stdout.isatty() else sys.stdout
        sys.stdout.flush()
        return
    with replacing(path) as building, building.open("w", encoding="utf-8", newline="") as stream:
        yield stream


def _save_parquet(table: Any, output: Output) -> None:
    import pyarrow.parquet as pq

    assert output.path is not None  # the option's parser saw to it
    with replacing(output.path) as building:
        pq.write_table(table, building, compression="zstd", use_dictionary=False)
