"""Results in the form that was asked for."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from clipdb._text import escaped
from clipdb.cli.common import Output
from clipdb.errors import ClipdbError

if TYPE_CHECKING:
    import duckdb

Row = tuple[Any, ...]

_FETCH = 2000


def write_result(
    result: duckdb.DuckDBPyConnection, output: Output, limit: int | None = None, empty: str | None = None
) -> None:
    """Write the rows of a query that was executed.

    Parameters
    ----------
    result
        A connection with rows to fetch.
    output
        Form and place; its limit counts where there is one (0: all rows).
    limit
        The query's own limit on printed rows, if it has one. When it cuts, stderr says so.
    empty
        What to do where there is no row; a table's stderr says it.

    Raises
    ------
    ClipdbError
        If the file can't be written.
    """
    if result.description is None:
        return
    cap = limit if output.limit is None else output.limit
    if output.format == "parquet":
        _write_parquet(result, output, cap)
        return
    names = _unique([column[0] for column in result.description])
    json_columns = [str(column[1]) == "JSON" for column in result.description]
    rows = _Rows(result, cap)
    with _stream(output.path) as stream:
        _write(names, iter(rows), json_columns, output, stream)
    if output.format == "table" and not rows.count:
        print(f"No rows: {empty}." if empty else "No rows.", file=sys.stderr)
    if rows.cut and output.limit is None:
        print(f"The first {cap} rows; --limit N prints more, --limit 0 all.", file=sys.stderr)


def write_rows(names: Sequence[str], rows: Sequence[Row], output: Output) -> None:
    """Write rows that Python made.

    Raises
    ------
    ClipdbError
        If the file can't be written.
    """
    if output.limit:
        rows = rows[: output.limit]
    if output.format == "parquet":
        import pyarrow as pa

        table = pa.table([pa.array(list(column)) for column in zip(*rows, strict=True)], names=list(names))
        _save_parquet(table, output)
        return
    with _stream(output.path) as stream:
        _write(names, iter(rows), [False] * len(names), output, stream)


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
    names: Sequence[str], rows: Iterator[Row], json_columns: Sequence[bool], output: Output, stream: IO[str]
) -> None:
    if output.format == "table":
        from clipdb.cli.table import render, terminal_width

        stream.write(render(names, list(rows), terminal_width(stream)))
        return
    from clipdb.cli import formats

    formats.WRITERS[output.format](names, rows, json_columns, stream)


class _Terminal(io.TextIOBase):
    """Standard output where a person reads it: no cell or name may steer the terminal, whatever the format."""

    def isatty(self) -> bool:
        """Say that it is one."""
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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Build a file under another name and rename it, so that it is whole or as it was.

    What killed commands left of the same file is deleted.
    """
    from clipdb.schema.leftovers import delete_leftovers, locked

    if not path.parent.is_dir():
        raise ClipdbError(f"can't write {path}: there is no directory {path.parent}")
    building = path.with_name(f".{path.name}.{os.getpid()}")
    handle = None
    try:
        building.touch()
        handle = locked(building)
        delete_leftovers(path, "[0-9]+", Path.is_file)
        yield building
        building.replace(path)
    except OSError as error:
        raise ClipdbError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where it couldn't be made there is none
            building.unlink()
        if handle is not None:
            os.close(handle)


def _write_parquet(result: duckdb.DuckDBPyConnection, output: Output, cap: int | None) -> None:
    table = result.to_arrow_table(_FETCH)  # a batch is allocated before it is filled
    _save_parquet(table.slice(0, cap) if cap else table, output)


def _save_parquet(table: Any, output: Output) -> None:
    import pyarrow.parquet as pq

    assert output.path is not None  # the option's parser saw to it
    with replacing(output.path) as building:
        pq.write_table(table, building, compression="zstd", use_dictionary=False)
