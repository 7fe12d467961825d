"""The metrics on a card: of what is in the export, which may be less than what is in the index."""

from __future__ import annotations

from pathlib import Path

from clipdb.artefact.card.markdown_text import table
from clipdb.artefact.format import relation_path
from clipdb.schema import catalog, views
from clipdb.schema.ddl import ddl

# The relations that metrics come from, without what is large in them.
_FROM = ("models", "heads", "pools", "pool_texts", "spans", "labels", "judgements", "runs")

_BRACKETS = """
create temp macro brackets(figure, low, high) as
    coalesce(format('{:.3f} [{:.3f}, {:.3f}]', figure, low, high), format('{:.3f}', figure), '')
"""
_SCOREBOARD = """
select
    model_id,
    labeller || coalesce(' (' || pool || ')', ''),
    labelled_heads,
    brackets(entanglement, entanglement_low, entanglement_high),
    coalesce(format('{:.3f}', exclusive), ''),
    coalesce(format('{:.1f}', effective_properties), ''),
    coalesce(judge, 'nobody') || coalesce(': ' || note, ''),
    brackets(association, association_low, association_high),
    unjudged_heads
from scoreboard
order by model_id, labeller <> 'current', labeller, pool, judge
"""
_COLUMNS = (
    "model",
    "named by",
    "named heads",
    "entanglement",
    "exclusive",
    "effective properties",
    "judged by",
    "association",
    "unjudged heads",
)
_ABOUT = """## Metrics

Entanglement is the share of named heads whose property another head of the model also carries (lower is better), and
exclusive is the rest. Names drawn at random share nearly as much where heads are many and properties few, so compare
`clipdb query entanglement`, which shows chance beside it. Association is the share of judged heads of which at least
three of the first five descriptions fit the name (higher is better). Brackets are 95 % bootstrap intervals over
heads: they have no width at 0 and 1, and are too narrow for few heads. The `current` name of a head is a person's,
else a language model's, else a published one, else that of zero-shot, else the vote of its descriptions.
"""


def metrics(root: Path) -> str:
    """Write the scoreboard of an export that has labels; nothing where no head is named.

    Parameters
    ----------
    root
        Directory of the export.
    """
    with catalog.in_memory() as connection:
        connection.execute("set threads = 1")  # so that sums of floats come out the same
        for statement in ddl():
            connection.execute(statement)
        views.create(connection, comments=False, only="scoreboard")
        connection.execute(_BRACKETS)
        for name in _FROM:
            held, columns = ("head_statistics", "model_id, layer, head") if name == "heads" else (name, "*")
            source = f"select {columns} from read_parquet(?, hive_partitioning := false)"
            connection.execute(f"insert into {held} by name {source}", [str(root / relation_path(name))])
        rows = connection.execute(_SCOREBOARD).fetchall()
    return f"{_ABOUT}\n{table(_COLUMNS, rows)}" if rows else ""
