"""The statements that make the relations of `clipdb.schema.tables`, with their comments, in DuckDB's SQL."""

from __future__ import annotations

from collections.abc import Collection

from duckdb_sqlalchemy import Dialect
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.schema import CreateTable, DDLElement, SetColumnComment, SetTableComment

from clipdb.schema import tables


def ddl(names: Collection[str] = tables.metadata.tables, plain: bool = False, comments: bool = True) -> list[str]:
    """Return the statements that make every relation, or some of them, in an empty catalog.

    Parameters
    ----------
    names
        The relations.
    plain
        Whether those that are views of others become tables, which stand alone.
    comments
        Whether to say what they and their columns mean, which is most of the statements.
    """
    return [statement for name in names for statement in _statements(tables.metadata.tables[name], plain, comments)]


def _statements(relation: Table, plain: bool, comments: bool) -> list[str]:
    view = None if plain else relation.info["view"]
    if view is None:
        made = _sql(CreateTable(relation if relation.info["indexed"] else _without_index(relation)))
        commented = _sql(SetTableComment(relation))
    else:
        made = f"create view {relation.name} as {view}"
        commented = _sql(SetTableComment(relation)).replace("ON TABLE", "ON VIEW", 1)
    if not comments:
        return [made]
    return [made, commented, *(_sql(SetColumnComment(column)) for column in relation.columns)]


def _without_index(relation: Table) -> Table:
    """Copy a table without its primary key, for which DuckDB would make an index."""
    columns = [Column(column.name, column.type, nullable=column.nullable) for column in relation.columns]
    return Table(relation.name, MetaData(), *columns)


def _sql(element: DDLElement) -> str:
    return str(element.compile(dialect=Dialect())).strip()
