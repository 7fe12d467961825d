-- How far two raters agree: each pair of labellers or of judges of a model, on the items that both rated (ratings).
-- Kappa is agreement beyond chance (Cohen 1960, doi 10.1177/001316446002000104): 1 is full, 0 what two raters with
-- these habits would reach by chance. A person who rejected the other's name disagrees with it, but is not compared
-- with any other name. A person who reviews without being blind sees a name first, which may be the other's own.
-- param of_pool = null: only names given from the spans of this pool; null for any
-- column kind: labels or judgements
-- column model_id: Model with weights; null is over all models
-- column rater: One rater, the first of the two by name
-- column other: The other rater
-- column independent: false where a judge is the vote, and of the labellers vote and zero-shot: all use the pool's tags
-- column note: not independent; and why a number is null: no shared items, or one value only
-- column items: Items that both rated: heads, or spans of heads
-- column same_pool: Of these items, heads that both named from the spans of the same pool; null for judgements
-- column blind: Of these items, heads that people named without seeing a name; null where neither rater is a person
-- column agreed: Items of which both say the same
-- column agreement: agreed / items, 0..1; null where no item is shared
-- column expected: Agreement expected by chance from how often each rater gives each value, 0..1
-- column kappa: (agreement - expected) / (1 - expected), -1..1; null where expected is 1 and can't be beaten
with rated as materialized (
    select said.*, not starts_with(said.rater, 'human:') or coalesce(arguments->>'$.blind' = 'true', false) as blind
    from ratings(of_pool := of_pool) as said left join runs using (run)
),
raters as (
    select distinct kind, unnest([model_id, null]) as model_id, rater from rated
),
cells as (
    select
        a.kind, a.model_id, a.rater, b.rater as other, a.value, b.value as other_value,
        count(*) as items, count_if(a.pool = b.pool) as same_pool, count_if(a.blind and b.blind) as blind
    from rated as a
    join rated as b
        on a.kind = b.kind and a.model_id = b.model_id and a.layer = b.layer and a.head = b.head
        and a.text_id is not distinct from b.text_id and a.property_key is not distinct from b.property_key
        and a.rater < b.rater
    where (a.rejected is null and b.rejected is null) or coalesce(a.rejected, a.value) = coalesce(b.rejected, b.value)
    group by all
),
scoped as (
    select * replace (unnest([model_id, null]) as model_id) from cells
),
-- How often each of the two gives a value. Each item is here twice, once for either rater; each pair once more, empty.
habits as (
    select kind, model_id, rater, other, value, items as given, 0 as other_given,
        if(value = other_value, items, 0) as agreed, same_pool, blind
    from scoped
    union all
    select kind, model_id, rater, other, other_value, 0, items, 0, 0, 0 from scoped
    union all
    select a.kind, a.model_id, a.rater, b.rater, null, 0, 0, 0, 0, 0
    from raters as a
    join raters as b on a.kind = b.kind and a.model_id is not distinct from b.model_id and a.rater < b.rater
),
by_value as (
    select kind, model_id, rater, other, value, sum(given)::double as given, sum(other_given)::double as other_given,
        sum(agreed)::double as agreed, sum(same_pool) as same_pool, sum(blind) as blind
    from habits
    group by all
),
counted as (
    select kind, model_id, rater, other, sum(given) as items, sum(agreed) as agreed, sum(same_pool) as same_pool,
        sum(blind) as blind, sum(given * other_given) as chance
    from by_value
    group by all
)
select
    kind, model_id, rater, other,
    if(kind = 'labels', (rater, other) <> ('vote', 'zero-shot'), rater <> 'vote' and other <> 'vote') as independent,
    nullif(concat_ws(
        '; ', if(independent, null, 'not independent'),
        case when items = 0 then 'no shared items' when chance = items * items then 'one value only' end
    ), '') as note,
    items::bigint as items, if(kind = 'labels', same_pool, null)::bigint as same_pool,
    if(kind = 'labels' and (starts_with(rater, 'human:') or starts_with(other, 'human:')), blind, null)::bigint as blind,
    agreed::bigint as agreed,
    agreed / nullif(items, 0) as agreement,
    chance / nullif(items * items, 0) as expected,
    (agreed * items - chance) / nullif(items * items - chance, 0) as kappa
from counted
