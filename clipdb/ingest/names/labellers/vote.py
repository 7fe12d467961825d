"""Label heads by the tags of the pool: deterministic, and no network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.names.heads_with_spans import heads_with_spans
from clipdb.ingest.names.unchanged import Labelled, store_news
from clipdb.ingest.store.writer import Writer

VOTE = "vote"

# A property's weight is the variance that its spans explain; of equal weights the one picked first wins. Sums go
# through ordered lists: a plain sum of doubles adds in the order of DuckDB's threads, and its last digits change.
_LABEL = """
with tagged as (
    select s.model_id, s.layer, s.head, s.pool, p.property, count(*) as n, min(s.rank) as first,
           list_sum(list(s.variance_explained order by s.rank)) as weight
    from spans s join pool_texts p using (pool, text_id)
    where s.pool = $1 and p.property is not null and s.model_id = coalesce($2, s.model_id)
    group by all
),
voted as (
    select model_id, layer, head, pool, arg_min(property, (-weight, first)) as property,
           arg_min(n, (-weight, first)) as n,
           sum(n) as tagged, max(weight) / nullif(list_sum(list(weight order by first)), 0) as confidence
    from tagged
    group by model_id, layer, head, pool
)
select model_id, layer, head, pool, property, confidence,
       format('{} of {} tagged spans, {:.0f}% of the variance that they explain', n, tagged, 100 * confidence)
           as rationale
from voted
where confidence is not null
order by model_id, layer, head
"""
_LABEL_COLUMNS = ("model_id", "layer", "head", "pool", "property", "confidence", "rationale")

_CAN_VOTE = """
select 1 from spans join pool_texts using (pool, text_id)
where pool = ? and property is not null and variance_explained is not null limit 1
"""


def label(index: Path, pool: str, model_id: str | None = None) -> Labelled:
    """Name each head by the property whose spans explain most of its variance.

    A head whose newest label by vote says the same already keeps that one.

    Parameters
    ----------
    index
        Directory of the index.
    pool
        Pool whose spans and tags vote.
    model_id
        Only this model.

    Returns
    -------
    Labelled
        Nameless are heads with spans but no tagged one, which stay without a label.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, or none of them can vote, as is so where spans were imported.
    """
    with Writer(index, "label", {"labeller": VOTE, "pool": pool, "model": model_id}, empty_run=False) as writer:
        heads = heads_with_spans(writer, pool, model_id)
        if not writer.read(_CAN_VOTE, pool):
            raise ClipdbError(
                f"no span from the pool {pool!r} has both a property and a variance to vote with: name these heads "
                f"with `clipdb label --labeller llm --pool {pool}`, or span with a pool whose texts have properties",
                kind="absent",
            )
        about = {"labeller": VOTE, "run": writer.run, "status": "ok", "created_at": datetime.now(UTC)}
        rows = [dict(zip(_LABEL_COLUMNS, row, strict=True)) | about for row in writer.read(_LABEL, pool, model_id)]
        new = store_news(writer, "labels", rows)
        return Labelled(new, heads - len(rows), len(rows) - new, "without a tagged span")
