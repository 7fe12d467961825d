"""Check that a query of the user's, which may be a stranger's, reads and does nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb

from clipdb._util.text import first_line
from clipdb.errors import ClipdbError


def require_one_select(path: Path, sql: str) -> None:
    """Check that the SQL of a file is one statement that reads.

    Raises
    ------
    ClipdbError
        Saying what it is instead.
    """
    with duckdb.connect(config={"enable_external_access": False}) as parser:
        try:
            statements = parser.extract_statements(sql)
        except duckdb.Error as error:
            raise ClipdbError(f"{path}: {first_line(error)}") from error
    # A PIVOT brings a second statement, without text of its own.
    kinds = [one.type.name for one in statements if one.query or one.type.name != "CREATE"]
    if kinds != ["SELECT"]:
        raise ClipdbError(f"{path}: a query is one SELECT, and this is {', '.join(kinds) or 'nothing'}")
