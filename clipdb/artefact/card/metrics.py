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
    coalesce(format('{:+.3f}', entanglement_excess), ''),
    coalesce(format('{:.3f}', entanglement), ''),
    brackets(entanglement_chance, entanglement_chance_low, entanglement_chance_high),
    coalesce(format('{:.3f}', exclusive), ''),
    coalesce(format('{:.1f}', effective_properties), ''),
    coalesce(judge, 'nobody') || coalesce(': ' || note, ''),
    coalesce(format('{:+.3f}', association_excess), ''),
    brackets(association, association_low, association_high),
    brackets(association_chance, association_chance_low, association_chance_high),
    unjudged_heads
from scoreboard
order by model_id, labeller <> 'current', labeller, pool, judge
"""
_COLUMNS = (
    "model",
    "named by",
    "named heads",
    "entanglement over chance",
    "entanglement",
    "its chance",
    "exclusive",
    "effective properties",
    "judged by",
    "association over chance",
    "association",
    "its chance",
    "unjudged heads",
)
_ABOUT = """## Metrics

Entanglement is the share of named heads whose property another head of the model also carries (lower is better), and
exclusive is the rest. Names drawn evenly from the pool's properties share nearly as much where heads are many and
properties few: that is its chance, in brackets where 95 % of such draws lie. Association is the share of judged heads
of which at least three of the first five descriptions fit the name (higher is better), with Wilson's 95 % interval
over heads; its chance is what the judge gives where names are shuffled over heads. Compare what is over chance.
An empty chance isn't known: the names are from no pool with properties, or the judge wasn't asked about every head with
every name. The `current` name of a head is a person's, else that of evidence (true values or minimal pairs), else a
language model's, else a published one, else that of zero-shot, else the vote of its descriptions.
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
        for statement in ddl(comments=False):
            connection.execute(statement)
        views.create(connection, comments=False, only=["scoreboard"])
        connection.execute(_BRACKETS)
        for name in _FROM:
            held, columns = ("head_statistics", "model_id, layer, head") if name == "heads" else (name, "*")
            source = f"select {columns} from read_parquet(?, hive_partitioning := false)"
            connection.execute(f"insert into {held} by name {source}", [str(root / relation_path(name))])
        rows = connection.execute(_SCOREBOARD).fetchall()
    return f"{_ABOUT}\n{table(_COLUMNS, rows)}" if rows else ""
