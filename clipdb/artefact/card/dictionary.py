"""What the columns of an export mean: the comments that its files carry."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from clipdb.artefact.card.configs import Config
from clipdb.artefact.card.markdown_text import table
from clipdb.artefact.parquet_columns import DESCRIPTION
from clipdb.schema.names import MLP
from clipdb.schema.vectors import component_columns, head_columns

_NAMES = {"halffloat": "float16", "float": "float32", "extension<arrow.json>": "JSON"}


def dictionary(configs: Sequence[Config]) -> str:
    """Write a section for each table, with one row per column; those of heads are alike and share one, as do MLPs'."""
    parts = ["## Tables\n"]
    for config in configs:
        rows = f"{config.rows:,} row{'' if config.rows == 1 else 's'}"
        parts.append(f"### `{config.name}`\n")
        parts.append(f"{_comment(config.schema)}\n\n`{config.paths}`, {rows}.\n")
        parts.append(table(("column", "type", "meaning"), _columns(config.schema)))
    return "\n".join(parts)


def _columns(schema: pa.Schema) -> list[tuple[str, str, str]]:
    rows = {field.name: (f"`{field.name}`", _type(field.type), _comment(field)) for field in schema}
    mlps = [name for (_, kind), name in component_columns(schema).items() if kind == MLP]
    for what, alike in (("heads", list(head_columns(schema).values())), ("MLPs", mlps)):
        if len(alike) > 1:
            _, kind, meaning = rows[alike[0]]
            rows[alike[0]] = (f"`{alike[0]}` to `{alike[-1]}`", kind, f"{meaning}. So for each of {len(alike)} {what}")
            rows = {name: row for name, row in rows.items() if name not in alike[1:]}
    return list(rows.values())


def _comment(one: pa.Schema | pa.Field) -> str:
    return str((one.metadata or {})[DESCRIPTION.encode()].decode())


def _type(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{_type(kind.value_type)}[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"struct of {', '.join(field.name for field in kind)}"
    return _NAMES.get(str(kind), str(kind))
