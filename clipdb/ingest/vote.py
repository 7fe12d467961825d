"""Label heads by the tags of the pool, and judge spans by the same tags: deterministic, and no network.

The judge ``vote`` sees what the labeller ``vote`` saw, so its verdicts are not independent of those labels; the views
keep them apart from other judges'.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from clipdb.errors import ClipdbError
from clipdb.ingest.judged import CURRENT, JUDGED, Judging, check_judged
from clipdb.ingest.spanned import heads_with_spans
from clipdb.ingest.writer import Writer

VOTE = "vote"

# A property's weight is the variance that its spans explain; of equal weights the one picked first wins. Sums go
# through ordered lists: a plain sum of doubles adds in the order of DuckDB's threads, and its last digits change.
_LABEL = """
insert into labels by name
with tagged as (
    select s.model_id, s.layer, s.head, s.pool, p.property, count(*) as n, min(s.rank) as first,
           list_sum(list(s.variance_explained order by s.rank)) as weight
    from spans s join pool_texts p using (pool, text_id)
    where s.pool = $pool and p.property is not null and s.model_id = coalesce($model, s.model_id)
    group by all
),
voted as (
    select model_id, layer, head, pool, arg_min(property, (-weight, first)) as property,
           arg_min(n, (-weight, first)) as n,
           sum(n) as tagged, max(weight) / nullif(list_sum(list(weight order by first)), 0) as confidence
    from tagged
    group by model_id, layer, head, pool
)
select model_id, layer, head, pool, 'vote' as labeller, $run as run, property, confidence,
       format('{} of {} tagged spans, {:.0f}% of the variance that they explain', n, tagged, 100 * confidence)
           as rationale,
       'ok' as status, $now as created_at
from voted
where confidence is not null
"""

_CAN_VOTE = """
select 1 from spans join pool_texts using (pool, text_id)
where pool = ? and property is not null and variance_explained is not null limit 1
"""

_JUDGE = f"""
insert into judgements by name
{JUDGED}
select model_id, layer, head, text_id, judged.property, 'vote' as judge, $5 as run,
       normal_property(pool_texts.property) = normal_property(judged.property) as verdict, 'ok' as status
from judged join (from pool_texts where pool = $1 and property is not null) as pool_texts using (text_id)
"""


def label_by_vote(index: Path, pool: str, model_id: str | None = None) -> tuple[int, int]:
    """Name each head by the property whose spans explain most of its variance.

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
    tuple of int
        Heads labelled, and heads with spans but no tagged one, which stay without a label.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, or none of them can vote, as is so where spans were imported.
    """
    with Writer(index, "label", {"labeller": VOTE, "pool": pool, "model": model_id}) as writer:
        heads = heads_with_spans(writer, pool, model_id)
        if not writer.read(_CAN_VOTE, pool):
            raise ClipdbError(
                f"no span from the pool {pool!r} has both a property and a variance to vote with: name these heads "
                f"with `clipdb label --labeller llm --pool {pool}`, or span with a pool whose texts have properties"
            )
        with writer.transaction() as connection:
            values = {"pool": pool, "model": model_id, "run": writer.run, "now": datetime.now(UTC)}
            writer.added = connection.execute(_LABEL, values).fetchall()[0][0]
        return writer.added, heads - writer.added


def judge_by_vote(index: Path, pool: str, model_id: str | None = None, top: int = 5, labeller: str = CURRENT) -> int:
    """Judge each named head's first spans: does the pool's tag equal the head's property?

    Returns
    -------
    int
        Number of verdicts.

    Raises
    ------
    ClipdbError
        If there is no index, no spans of this pool, no names of heads with these spans, or no property in the pool.
    """
    judging = Judging(pool, model_id, labeller, top)
    with Writer(index, "judge", {"judge": VOTE} | judging.arguments()) as writer:
        check_judged(writer, judging)
        if not writer.read("select 1 from pool_texts where pool = ? and property is not null limit 1", pool):
            raise ClipdbError(
                f"the pool {pool!r} names no properties to judge by: ask a language model with --judge llm, or judge "
                "yourself with `clipdb review --verdicts`"
            )
        with writer.transaction() as connection:
            writer.added = connection.execute(_JUDGE, [*judging.values, writer.run]).fetchall()[0][0]
        return writer.added
