"""Label heads by the tags of the pool, and judge spans by the same tags: deterministic, and no network.

The judge ``vote`` sees what the labeller ``vote`` saw, and the tags and text embeddings that the labeller ``zero-shot``
used: so its verdicts are independent of neither's labels, and the views keep them apart from other judges'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipdb.errors import ClipdbError
from clipdb.ingest.names.heads_with_spans import heads_with_spans
from clipdb.ingest.names.named_spans import CURRENT, JUDGED, Judging, check_judged
from clipdb.ingest.names.unchanged import Labelled, news
from clipdb.ingest.store.rows import put
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

_JUDGE = f"""
{JUDGED}
select model_id, layer, head, text_id, judged.property,
       normal_property(pool_texts.property) = normal_property(judged.property) as verdict
from judged join (from pool_texts where pool = $1 and property is not null) as pool_texts using (text_id)
order by all
"""
_JUDGE_COLUMNS = ("model_id", "layer", "head", "text_id", "property", "verdict")


def label_by_vote(index: Path, pool: str, model_id: str | None = None) -> Labelled:
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
                f"with `clipdb label --labeller llm --pool {pool}`, or span with a pool whose texts have properties"
            )
        about = {"labeller": VOTE, "run": writer.run, "status": "ok", "created_at": datetime.now(UTC)}
        rows = [dict(zip(_LABEL_COLUMNS, row, strict=True)) | about for row in writer.read(_LABEL, pool, model_id)]
        new = _store_news(writer, "labels", rows)
        return Labelled(new, heads - len(rows), len(rows) - new)


def judge_by_vote(
    index: Path, pool: str, model_id: str | None = None, top: int = 5, labeller: str = CURRENT
) -> tuple[int, int]:
    """Judge each named head's first spans: does the pool's tag equal the head's property?

    Returns
    -------
    tuple of int
        Verdicts that are new, and those that were given before.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, no names of heads with these spans, or no property in the pool.
    """
    judging = Judging(pool, model_id, labeller, top)
    with Writer(index, "judge", {"judge": VOTE} | judging.arguments(), empty_run=False) as writer:
        check_judged(writer, judging)
        if not writer.read("select 1 from pool_texts where pool = ? and property is not null limit 1", pool):
            raise ClipdbError(
                f"the pool {pool!r} names no properties to judge by: ask a language model with --judge llm, or judge "
                "yourself with `clipdb review --verdicts`"
            )
        about = {"judge": VOTE, "run": writer.run, "status": "ok"}
        found = writer.read(_JUDGE, *judging.values)
        rows = [dict(zip(_JUDGE_COLUMNS, row, strict=True)) | about for row in found]
        new = _store_news(writer, "judgements", rows)
        return new, len(rows) - new


def _store_news(writer: Writer, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write the rows that say something new; say how many they are."""
    new = news(writer, table, rows)
    writer.added, writer.skipped = len(new), len(rows) - len(new)
    if new:
        with writer.transaction() as connection:
            put(connection, table, new)
    return len(new)
