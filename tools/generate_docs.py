"""Write the reference docs from the code: docs/cli.md, python.md, queries.md, schema.md, and the functions of sql.md.

Run `python tools/generate_docs.py`; a test fails while a page is not what this would write.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import click

import clipdb
from clipdb.cli import main
from clipdb.cli.query import Questions, usage
from clipdb.queries.functions import functions
from clipdb.queries.named.sql_files import NamedQuery, find_query, query_names
from clipdb.schema.document import render as render_schema

DOCS = Path(__file__).parents[1] / "docs"

_FUNCTIONS = "| function | does | gives |\n| --- | --- | --- |\n"

_CLI = """# The command line

<!-- Written by `python tools/generate_docs.py`. Change the commands in clipdb/cli, not this file. -->

Results go to stdout, progress and notes to stderr. Exit code 0: done; 1: failed, with one line that says what to do,
or with DuckDB's own message about your SQL; 2: wrong usage; 130: stopped. The index is `--index`, or `$CLIPDB_INDEX`,
or `./index.clipdb`. A table is cut to the terminal's width, or to 120 columns if there is no terminal; `csv`, `json`,
`jsonl` and `parquet` are exact.
Control characters in names and cells are written to a terminal as `\\u001b`, and in JSON everywhere.

Ctrl-C ends any command within a second or two with `Stopped.`, or with `Stopped: 64 images are in; the same command
resumes.` where there is something to resume. While texts are embedded or images run through a model, stderr shows a bar
in a terminal, and elsewhere a line every half minute.

Questions about a new text or picture import torch and load the model, which takes some six seconds each time.
[`clipdb shell`](#clipdb-shell) and Python keep both in memory.

Completion of commands and options by the tab key:

```
eval "$(_CLIPDB_COMPLETE=bash_source clipdb)"            # in ~/.bashrc
eval "$(_CLIPDB_COMPLETE=zsh_source clipdb)"             # in ~/.zshrc
_CLIPDB_COMPLETE=fish_source clipdb | source             # in ~/.config/fish/config.fish
```

"""

_PYTHON = """# Python

<!-- Written by `python tools/generate_docs.py`. Change the docstrings in clipdb/api, not this file. -->

Everything that `import clipdb` gives. The functions that write have the command line's options and defaults. They
return what they did and print nothing: notes go to the logger `clipdb`, and `progress=False` turns the bar off. Each
named query is a method of `db.query` ([Queries](queries.md)), and `clipdb.schema` has the tables for SQLAlchemy
([Tables and columns](schema.md)). [Ask](ask.md) shows the functions at work, and so does the notebook
`examples/first_steps.ipynb`. In a Python session `help(clipdb.label)` prints what stands here.

"""

PUBLIC = {
    "Open an index": ("open", "Index"),
    "Fill an index": (
        "ingest_images",
        "ingest_texts",
        "ingest_pairs",
        "align",
        "span",
        "index_vectors",
        "drop_vector_indexes",
    ),
    "Name heads": ("label", "judge", "review_cards", "review", "Server"),
    "See where in a picture": ("segment", "segmentation_scores"),
    "Run a model without heads": ("ablate",),
    "Look at it all": ("serve",),
    "Share": (
        "export",
        "export_embeddings",
        "export_index",
        "export_pages",
        "export_reviews",
        "export_weights",
        "import_artefact",
        "import_spans",
        "import_labels",
        "import_reviews",
        "verify",
        "upgrade",
    ),
    "When something is wrong": ("ClipdbError",),
}
"""The names that the page of Python describes, in its order."""

_MEMBERS = {
    "Index": (
        "query",
        "sql",
        "rows",
        "execute",
        "register",
        "connection",
        "engine",
        "lancedb",
        "stale",
        "refresh",
        "cursor",
        "close",
    ),
    "Server": (),
}
"""Of a class that has more, the members to describe."""

_QUERIES = """# Queries

<!-- Written by `python tools/generate_docs.py`. Change the text there, and the queries in clipdb/queries/sql. -->

```
clipdb query                                  # lists the named queries
clipdb query property colour                  # one of them; its first parameter needs no option
clipdb query heads --help                     # its parameters
clipdb query "select name, total_variance from heads order by 2 desc limit 5"
clipdb query - < question.sql
```

From Python:

```python
import clipdb

with clipdb.open("index.clipdb") as db:
    db.query.property("colour").df()
    db.sql("select * from head_cards(top_n := 3) where layer = $layer", layer=11).pl()
```

A result is a DuckDB relation: `.df()`, `.pl()`, `.arrow()`, `.fetchall()`. An open index keeps
its state, and keeps nobody from writing; `db.refresh()` opens a newer one. `db.engine` is a SQLAlchemy engine over the
same tables, which are `clipdb.schema.heads` and so on. [Tables and columns](schema.md) says
what tables, views and macros hold.

## Vectors in SQL

A model's vectors are `vectors."ARCH/PRETRAINED".images` and `vectors."ARCH/PRETRAINED".texts`: one row per image or
text, with `embedding` and one column per head (`l11h3` for L11.H3), which DuckDB sees as `FLOAT[n]`. Where the index
has one model, or `--model` chose one, they are also `image_vectors` and `text_vectors`. Only the columns and rows that
a statement uses are read. A vector is null where an image has not been through that head yet.

```sql
select label, avg(array_cosine_similarity(l4h2, (select l4h2 from image_vectors limit 1))) as likeness
from image_vectors join images using (image_id)
group by label
```

`neighbours(model, head, image, k := 10)` is a table: `image_id`, `score` (cosine in the head's space) and `rank` of the
images nearest to one, itself left out. `model` may be null where the index has one; `image` may be a file, or the
beginning of an id. The search is exact. Its arguments may come from other tables. [Vectors in SQL](sql.md) has all
functions:

```sql
select images.uri, near.rank, near.score, other.uri
from images, lateral neighbours(null, 'L4.H2', images.image_id, 3) as near
join images as other on other.image_id = near.image_id
where images.metadata->>'colour' = 'red'
```

## Queries of your own

A named query is a file `NAME.sql` that starts with comments; `clipdb query --queries DIR NAME` finds it in your folder,
where it goes before a shipped query of the same name.

```sql
-- Heads that vary most
--
-- A description, over as many lines as it takes.
--
-- $layer integer optional: Only this layer.
-- $most integer = 10: How many heads to list;
--     a help text goes on where lines are indented by four.
-- needs: heads
-- limit: 50

select name, total_variance
from heads
where $layer is null or layer = $layer
order by total_variance desc
limit $most
```

The first line is the title. A parameter is `$name TYPE`, then `required`, `optional` (null when left out) or
`= DEFAULT`, a colon and its help. Types are `text`, `integer`, `number`, `boolean`, `choice(a|b)`, and the names of
things that are looked up in the index: `head` (L11.H3), `image` (a file, or an image's file name, its uri or the
beginning of its id), `model` (`required` means: may be left out where there is one), `pool` and `property` (some head
must carry it). `needs` names tables that must have rows; `empty` says what to do where the query finds none; `limit` is
how many rows the command prints unless told otherwise; `sheet: image_id score` says that rows are images, which
`--sheet` draws with that caption, under headings where a third column is named; `interval: share low high` has a table
on a screen show three columns as one, `0.958 [0.875, 1.000]`; `note` is SQL of a text that stderr shows. Values are
bound, never pasted into the SQL.

"""


def render_cli() -> str:
    """Write the help of every command."""
    return _CLI + "\n".join(_commands(main, "clipdb", None))


def render_python() -> str:
    """Write the public names: a table for every reader, and what mkdocstrings turns into their descriptions."""
    rows = "".join(
        f"| `clipdb.{name}` | {_summary(getattr(clipdb, name))} |\n" for names in PUBLIC.values() for name in names
    )
    sections = (f"\n## {title}\n\n" + "\n".join(_described(name) for name in names) for title, names in PUBLIC.items())
    return f"{_PYTHON}| name | |\n| --- | --- |\n{rows}" + "".join(sections)


def render_queries() -> str:
    """Write every shipped query: what it answers, its parameters, its SQL."""
    return _QUERIES + "## Shipped queries\n\n" + "\n".join(_query(find_query(name)) for name in query_names())


def render_sql() -> str:
    """Write how each table function is called, what it does and what its rows hold, into the page as it is."""
    rows = "".join(
        f"| `{function.signature}` | {function.title} | {', '.join(f'`{column}`' for column in function.columns)} |\n"
        for function in functions().values()
    )
    before, head, after = (DOCS / "sql.md").read_text(encoding="utf-8").partition(_FUNCTIONS)
    return before + head + rows + after[after.index("\n\n") + 1 :]


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": render_cli,
    "python.md": render_python,
    "queries.md": render_queries,
    "schema.md": render_schema,
    "sql.md": render_sql,
}


def _commands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    settings = {"terminal_width": 100, "max_content_width": 100, **command.context_settings}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield f"## `{context.command_path}`\n\n```\n{command.get_help(context)}\n```\n"
    # The named queries have a page of their own.
    if isinstance(command, click.Group) and not isinstance(command, Questions):
        for verb in command.list_commands(context):
            below = command.get_command(context, verb)
            assert below is not None
            yield from _commands(below, verb, context)


def _summary(named: object) -> str:
    return (inspect.getdoc(named) or "").splitlines()[0]


def _described(name: str) -> str:
    options = f"    options:\n      members: [{', '.join(_MEMBERS[name])}]\n" if name in _MEMBERS else ""
    return f"::: clipdb.{name}\n{options}"


def _query(query: NamedQuery) -> str:
    parts = [
        f"### `{query.command}`\n\n{query.title}.\n\n{query.description}\n\n```\nclipdb query {usage(query)}\n```\n"
    ]
    if query.parameters:
        rows = "".join(
            f"| `{parameter.name}` | {parameter.type.replace('|', ', ')} "
            f"| {_default(parameter.required, parameter.default)} | {parameter.help} |\n"
            for parameter in query.parameters
        )
        parts.append("| parameter | type | default | |\n| --- | --- | --- | --- |\n" + rows)
    parts.append(f"<details><summary>SQL</summary>\n\n```sql\n{_sql(query)}\n```\n\n</details>\n")
    return "\n".join(parts)


def _sql(query: NamedQuery) -> str:
    return "\n\n".join([query.sql, *(f"-- with ${name}:\n{sql}" for name, sql in query.variants)])


def _default(required: bool, default: object) -> str:
    return "required" if required else "" if default is None else f"`{default}`"


if __name__ == "__main__":
    for page, render in PAGES.items():
        (DOCS / page).write_text(render(), encoding="utf-8")
