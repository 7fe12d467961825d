"""How to read an export: with clipdb, with `datasets`, in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from clipdb.artefact.card.configs import Config, first_shown

HUB = "hf://datasets/OWNER/NAME"

_CLIPDB = """## Use it

It was written by clipdb. Install clipdb from its own repository: on PyPI another project has that name. Then ask it
where it lies on the Hub or from a local copy, and make an index of it, to which images can be added:

```sh
clipdb query -i {hub} "{question}"
clipdb import DIR -i index.clipdb
```

Load a table:

```python
from datasets import load_dataset

table = load_dataset("OWNER/NAME", "{table}", split="train")
```

Or read the files, here in DuckDB's SQL; with `{hub}/` before a path it reads them from the Hub:
"""
_PROPERTIES = "select name, property, labeller from head_properties order by model_id, layer, head limit 10"
_FIRST_SPANS = "select model_id, layer, head, text from spans where rank = 1 limit 10"
_VARIANCES = "select name, total_variance from heads order by total_variance desc limit 10"

_SPANS = """-- The text directions along which each head's output varies most
select model_id, name, list(text order by rank) as first_spans
from read_parquet('relations/spans.parquet') as spans
join read_parquet('relations/heads.parquet') as heads using (model_id, layer, head)
where rank <= 3
group by model_id, layer, head, name
order by model_id, layer, head
limit 10;
"""
_LABELS = """-- What each head is called, by whom
select model_id, name, property, labeller, rationale
from read_parquet('relations/labels.parquet') as labels
join read_parquet('relations/heads.parquet') as heads using (model_id, layer, head)
where status = 'ok'
order by model_id, layer, head, labeller
limit 10;
"""
_HEADS = """-- The heads
select model_id, name, total_variance, effective_rank
from read_parquet('relations/heads.parquet')
order by model_id, layer, head
limit 10;
"""
# DuckDB's functions of lists refuse a column in which a list is null; those of arrays don't.
_NEIGHBOURS = """-- Which images are most similar to the first in what one head writes
with vectors as (
    select image_id, {head}::float[{size}] as vector
    from read_parquet('{paths}')
    where {head} is not null
),
first as (
    from vectors order by image_id limit 1
)
select other.image_id, array_cosine_similarity(first.vector, other.vector) as similarity
from vectors as other, first
where other.image_id <> first.image_id
order by similarity desc, other.image_id
limit 10;
"""


def usage(configs: Sequence[Config]) -> str:
    """Write commands and SQL that run on this export."""
    rows = {config.name: config.rows for config in configs}
    question = _PROPERTIES if rows.get("labels") else _FIRST_SPANS if rows.get("spans") else _VARIANCES
    parts = [_CLIPDB.format(hub=HUB, question=question, table=first_shown(configs).name)]
    parts += [_fenced(sql) for sql, name in ((_SPANS, "spans"), (_LABELS, "labels")) if rows.get(name)]
    heads = [(config, column) for config in configs if config.kind == "images" for column in config.schema.names[3:]]
    if heads:
        config, column = heads[-1]
        size = config.schema.field(column).type.list_size
        parts.append(_fenced(_NEIGHBOURS.format(head=column, size=size, paths=config.paths)))
    if len(parts) == 1:
        parts.append(_fenced(_HEADS))
    return "\n".join(parts)


def _fenced(sql: str) -> str:
    return f"```sql\n{sql}```\n"
