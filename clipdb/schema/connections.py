"""Close connections that Ctrl-C may have interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb


@contextmanager
def closing(connection: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Close a connection at the end of a block, however it ends.

    Raises
    ------
    KeyboardInterrupt
        When Ctrl-C came during a statement, which DuckDB reports as RuntimeError.
    """
    try:
        yield connection
    except BaseException as error:
        settle(connection)
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.close()


def settle(connection: duckdb.DuckDBPyConnection) -> None:
    """End what an interrupted statement left behind, or opening the file again in this process would never end."""
    connection.interrupt()  # its threads, which may be far from done
    with suppress(duckdb.Error):  # the transaction may have failed
        connection.execute("select 1")  # closing and rolling back don't do it, the next statement does


def was_interrupted(error: BaseException) -> bool:
    """Return whether an error is how DuckDB passes Ctrl-C on."""
    return isinstance(error, RuntimeError) and isinstance(error.__cause__, KeyboardInterrupt)
