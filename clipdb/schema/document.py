"""Write the data dictionary, docs/schema.md:  python -m clipdb.schema.document [FILE]."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pyarrow as pa

from clipdb.schema import tables, vectors, views
from clipdb.schema.ddl import ddl
from clipdb.schema.migrations import SCHEMA_VERSION
from clipdb.schema.names import MLP, REST, TRUNK, head_column, head_name

_INTRODUCTION = f"""# What an index stores

<!-- Written by `python -m clipdb.schema.document`. Change the comments in clipdb/schema, not this file. -->

Schema version {SCHEMA_VERSION}. An index is a directory, by convention `NAME.clipdb`, and nothing outside it:

```
NAME.clipdb/
  catalog.duckdb              the tables, views and macros below: a link to the newest snapshot
  snapshots/000017/           a state of them that never changes again; its readers lock the folder
  work.duckdb                 what the writer commits to, and publishes as the next snapshot
  vectors/                    a LanceDB database
    MODEL_SLUG.images.lance   one row per image, one column per head
    MODEL_SLUG.texts.lance    one row per text, one column per head
  writer.lock                 held by the process that writes
```

Open `catalog.duckdb` for reading with any DuckDB client, at any time. What is written into a snapshot by hand is lost
with the next one. A copy of the folder keeps the link (`cp -a`, `rsync -a`), or has the newest state as a file in its
place: both work.

`MODEL_SLUG` is `model_id` with `__` for the slash: `ViT-B-32/openai` makes `ViT-B-32__openai.images.lance`.
Views and macros are stored in the catalog: any DuckDB client has them; `duckdb_columns()` has the comments.
Keys are natural and there are no foreign keys. Times are UTC. `run` ids sort by time.
"""

_VIEWS = """## Views and macros

A view with parameters is also a table macro of the same name: `from association` uses the defaults,
`from association(min_agree := 4)` does not.
"""

_VECTORS = """## Vectors

`D` is `models.embed_dim`, `k` the size of the head's vectors (`models.head_dim`), `r` of `REST`'s
(`components.size`). Readers open a Lance table at the highest `lance_version` of its rows in `batches`: later rows
belong to a batch that was not committed. The catalog of an index that was made with `--vectors` has one more table,
`clipdb_vectors`, whose only row says where the LanceDB database is, in its column `place`.
"""

# Sizes that stand for their letters while a layout is rendered.
_EMBED_DIM, _HEAD_DIM, _RANK = 2, 1, 3
_LETTERS = {_EMBED_DIM: "D", _HEAD_DIM: "k", _RANK: "r"}


def render() -> str:
    """Render the data dictionary as Markdown, from an empty catalog: it describes what DuckDB made."""
    with duckdb.connect() as connection:
        for statement in ddl():
            connection.execute(statement)
        views.create(connection)
        parts = [_INTRODUCTION, "## Tables\n"]
        parts += [_table(connection, name) for name in tables.metadata.tables]
        parts.append(_VIEWS)
        parts += [_view(connection, view) for view in sorted(views.load(), key=lambda view: view.name)]
    sizes = {(11, 3): _HEAD_DIM}
    parts.append(_VECTORS)
    images = sizes | {(TRUNK, REST): _RANK, (11, MLP): _EMBED_DIM}
    parts.append(_layout("MODEL_SLUG.images.lance", vectors.images_schema(_EMBED_DIM, images)))
    parts.append(_layout("MODEL_SLUG.texts.lance", vectors.texts_schema(_EMBED_DIM, sizes)))
    return "\n".join(parts)


def _table(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    table = tables.metadata.tables[name]
    keys = [column.name for column in table.primary_key]
    return f"### `{name}`\n\n{table.comment}\n\nKey: {', '.join(f'`{key}`' for key in keys)}.\n\n" + _columns(
        connection, name
    )


def _view(connection: duckdb.DuckDBPyConnection, view: views.View) -> str:
    signature = f"({view.signature})" if view.parameters else ""
    text = f"### `{view.name}{signature}`\n\n{view.comment}\n\n"
    if view.parameters:
        text += "\n".join(f"- `{parameter.name}`: {parameter.comment}" for parameter in view.parameters) + "\n"
    if view.is_scalar:
        return text
    return text + ("\n" if view.parameters else "") + _columns(connection, view.name)


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> str:
    rows = connection.execute(
        "select column_name, data_type, comment from duckdb_columns() where table_name = ? order by column_index",
        [relation],
    ).fetchall()
    return _markdown(rows)


def _layout(title: str, schema: pa.Schema) -> str:
    comments = {head_column(11, 3): vectors.HEAD_COMMENTS[schema.names[0]], **vectors.COMMENTS}
    comments |= {
        name: vectors.COMPONENT_COMMENT.format(name=head_name(*part))
        for part, name in vectors.component_columns(schema).items()
    }
    return f"### `{title}`\n\n" + _markdown(
        [(field.name, _arrow(field.type), comments[field.name]) for field in schema]
    )


def _arrow(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{_arrow(kind.value_type)}[{_LETTERS[kind.list_size]}]"
    return {"halffloat": "float16", "float": "float32"}.get(str(kind), str(kind))


def _markdown(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {comment} |" for name, kind, comment in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the data dictionary to the file named on the command line, or to docs/schema.md."""
    Path(*(sys.argv[1:2] or ["docs/schema.md"])).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
