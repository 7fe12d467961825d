"""The heads that a person is to review, each with its name and its spans."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from clipdb.errors import ClipdbError
from clipdb.queries.index import Index

# As in head_spans: where a name's own pool has no spans of the head, those of the pool that was spanned last do.
_CARDS = """
with named as (
    select model_id, layer, head, property, given_by, given_from
    from source_names
    where labeller = coalesce($labeller, 'current')
    qualify row_number() over (partition by model_id, layer, head order by pool) = 1
),
chosen as (
    select
        heads.model_id, heads.layer, heads.head, heads.name, property, given_by as labeller,
        if(pools is null or list_contains(pools, given_from), given_from, last_pool) as pool
    from heads
    left join named using (model_id, layer, head)
    left join head_pools using (model_id, layer, head)
    where ($model is null or heads.model_id = $model) and ($labeller is null or given_by is not null)
)
select
    model_id, layer, head, name, pool, property, labeller,
    coalesce(list({'text_id': text_id, 'text': text} order by rank) filter (rank <= $spans), []) as spans,
    exists (
        from labels
        where labels.model_id = chosen.model_id and labels.layer = chosen.layer and labels.head = chosen.head
            and labels.labeller = $reviewer
    ) as reviewed,
    (
        select max(labels.property) from labels
        where labels.model_id = chosen.model_id and labels.layer = chosen.layer and labels.head = chosen.head
            and labels.labeller = $reviewer and status = 'rejected'
    ) as rejected
from chosen left join spans using (model_id, layer, head, pool)
where pool is not null
group by all
order by model_id, layer, head
"""


@dataclass(frozen=True)
class Card:
    """A head as a reviewer sees it.

    Attributes
    ----------
    model_id, layer, head, name
        The head.
    pool
        Pool that its spans are from.
    property, labeller
        Its name and who gave it; None where it has none.
    spans
        Its first descriptions, in order: text_id and text.
    reviewed
        Whether this person decided on the head before.
    rejected
        The name that this person rejected.
    """

    model_id: str
    layer: int
    head: int
    name: str
    pool: str
    property: str | None
    labeller: str | None
    spans: Sequence[dict[str, str]]
    reviewed: bool
    rejected: str | None


def review_cards(
    index: Index,
    reviewer: str,
    model: str | None = None,
    labeller: str | None = None,
    spans: int = 10,
    sample: int | None = None,
    seed: int = 0,
) -> list[Card]:
    """List the heads to review, in order of model, layer and head, or as many drawn at random.

    A sample is drawn from all heads, whether reviewed or not: who stops and comes back gets the rest of the same one.

    Parameters
    ----------
    index
        An open index.
    reviewer
        Who reviews, as ``human:NAME``.
    model, labeller
        Only this model; the names that this labeller gave, in place of the current ones.
    spans
        How many descriptions of each head to show.
    sample, seed
        How many heads to draw, and the seed of the draw.

    Raises
    ------
    ClipdbError
        If no head has a name or spans.
    """
    values = {"model": model, "labeller": labeller, "spans": spans, "reviewer": reviewer}
    cards = [Card(*row) for row in index.execute(_CARDS, values).fetchall()]
    if not cards:
        named = f" named by {labeller}" if labeller else " with a name or spans"
        of = f" of {model}" if model else ""
        known = "select distinct labeller from head_labels where model_id = coalesce($model, model_id) order by 1"
        labellers = ", ".join(name for (name,) in index.execute(known, {"model": model}).fetchall())
        choice = f"choose with --labeller among {labellers}" if labeller and labellers else ""
        advice = choice or "run `clipdb span` and `clipdb label` first"
        raise ClipdbError(f"{index.path} has no heads{of}{named}: {advice}", kind="absent")
    if sample is not None and sample < len(cards):
        return [cards[at] for at in sorted(random.Random(seed).sample(range(len(cards)), sample))]
    return cards
