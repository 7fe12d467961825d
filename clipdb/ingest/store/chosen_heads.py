"""Heads of a model as one option names them."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.errors import ClipdbError
from clipdb.ingest.store.model_tables import ModelTables
from clipdb.schema.names import Head, head_name, parse_head, partition_of
from clipdb.schema.vectors import head_columns

_PROPERTIES = (
    "select layer, head, property from head_properties where model_id = ? "
    "and property_key = normal_property(?) order by layer, head"
)
_KNOWN = "select distinct property_key from head_properties where model_id = ? order by 1"


def chosen_heads(tables: ModelTables, heads: str) -> list[Head]:
    """Read which heads of a model are meant.

    Parameters
    ----------
    tables
        The model, which has vectors of images.
    heads
        ``L11.H3`` or several with commas, ``property=colour`` for the heads of that name, or ``all``.

    Raises
    ------
    ClipdbError
        If a head has no vectors, or no head carries the property.
    """
    assert tables.images.schema is not None
    stored = list(head_columns(tables.images.schema))
    if heads.strip() == "all":
        return stored
    kind, equals, name = heads.partition("=")
    if equals:
        return _of_property(tables, stored, kind.strip(), name.strip())
    wanted = list(dict.fromkeys(parse_head(one) for one in heads.split(",") if one.strip()))
    if not wanted:
        raise ClipdbError("no heads are named: write L11.H3,L11.H4, property=NAME or all")
    for head in wanted:
        if head not in stored:
            raise ClipdbError(
                f"{tables.model_id} has no vectors of head {head_name(*head)}: "
                f"`clipdb query heads --model {tables.model_id}` lists those that it has",
                kind="absent",
            )
    return wanted


def together_of(chosen: Sequence[Head], heads: str) -> dict[str, list[Head]]:
    """Return which of the chosen heads are compared together, by name: those of a property, of one partition each."""
    if "=" not in heads:
        return {}
    groups: dict[str, list[Head]] = {}
    for head in chosen:
        groups.setdefault(partition_of(head[0]), []).append(head)
    name = heads.strip()
    if len(groups) == 1:
        return {name: list(chosen)}
    return {f"{name}, {partition}": some for partition, some in groups.items()}


def _of_property(tables: ModelTables, stored: list[Head], kind: str, name: str) -> list[Head]:
    if kind != "property":
        raise ClipdbError(f"{kind}= names no heads: write L11.H3,L11.H4, property=NAME or all")
    rows = tables.writer.read(_PROPERTIES, tables.model_id, name)
    found = [(layer, head) for layer, head, _ in rows if (layer, head) in stored]
    if not found:
        known = ", ".join(str(one) for (one,) in tables.writer.read(_KNOWN, tables.model_id))
        if "," in name:
            raise ClipdbError(f"{name!r} is no property: name one property, or heads with commas, but not both")
        raise ClipdbError(
            f"no head of {tables.model_id} carries {name!r}: "
            + (f"properties here are {known}" if known else "run `clipdb label`"),
            kind="absent",
        )
    return found
