-- Krippendorff's alpha for nominal values: how far any number of raters agree beyond chance where not all of them rated
-- every item (K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011). 1 is full agreement, 0 is chance. For
-- each model, and over all models; over labellers, and over judges but the vote, whose verdicts come from the same tags
-- as its labels. "not NAME" of a person is a value like any other, so with rejections alpha is rather too low.
-- param who = '%': which raters, as a pattern of LIKE: 'human:%' are people
-- param of_pool = null: only names given from the spans of this pool; null for any
-- column kind: labels or judgements
-- column model_id: Model with weights; null is over all models
-- column raters: Raters of the items counted
-- column items: Items that at least two raters rated: heads, or spans of heads
-- column unpaired: Items that only one rater rated, which alpha can't count
-- column ratings: Ratings of the items counted
-- column values: Different values among them
-- column observed: Disagreement among the ratings of an item, 0..1
-- column expected: Disagreement among all ratings, whichever item they are of, 0..1
-- column alpha: 1 - observed / expected; null where there is one value only, so that nothing could disagree
-- column note: Why alpha is null: no shared items, or one value only
with rated as (
    select kind, model_id, layer, head, text_id, property_key, rater, value
    from ratings(of_pool := of_pool) as said
    where said.rater like who and (kind = 'labels' or said.rater <> 'vote')
),
units as (
    select kind, model_id, count(*) as size, list(rater) as raters, histogram(value) as counts
    from rated
    group by kind, model_id, layer, head, text_id, property_key
),
scoped as (
    select * replace (unnest([model_id, null]) as model_id) from units
),
by_value as (
    select kind, model_id, entry.key as value, sum(entry.value)::double as given,
        sum(entry.value * (entry.value - 1) / (size - 1)) as matched
    from (select kind, model_id, size, unnest(map_entries(counts)) as entry from scoped where size > 1)
    group by all
),
totals as (
    select kind, model_id, count(*) as values, sum(given) as n, sum(matched) as matched,
        sum(given * (given - 1)) as chance
    from by_value
    group by all
),
items as (
    select
        kind, model_id, count_if(size > 1)::bigint as items, count_if(size = 1)::bigint as unpaired,
        len(list_distinct(flatten(list(raters) filter (size > 1)))) as raters
    from scoped
    group by all
)
select
    items.kind, items.model_id, coalesce(items.raters, 0) as raters, items.items, items.unpaired,
    coalesce(n, 0)::bigint as ratings, coalesce(values, 0) as values,
    1 - matched / n as observed,
    1 - chance / (n * (n - 1)) as expected,
    if(values > 1, 1 - (n - 1) * (n - matched) / (n * (n - 1) - chance), null) as alpha,
    case when items.items = 0 then 'no shared items' when values = 1 then 'one value only' end as note
from items
left join totals on items.kind = totals.kind and items.model_id is not distinct from totals.model_id
