"""How a relation of an index is declared."""

from __future__ import annotations

from typing import Any

from sqlalchemy import TIMESTAMP, Column, MetaData, Table

metadata = MetaData()

INSTANT = TIMESTAMP(timezone=True)


def declare(name: str, comment: str, *declared: Column[Any], indexed: bool = True, view: str | None = None) -> Table:
    """Declare a table, or a view with the columns of one: ``view`` is its SQL."""
    return Table(name, metadata, *declared, comment=comment, info={"indexed": indexed, "view": view})
