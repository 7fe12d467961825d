-- Concept Consistency Score of each labelled head (arXiv 2503.11103), for each judge that judged its model: how many
-- of its first spans fit its current property. Judges are never mixed, but in the judge 'majority'.
-- param top_n = 5: how many spans to look at
-- param level = .95: coverage of the interval of chance, 0..1
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The head's current property
-- column property_key: The property as properties are compared
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these)
-- column independent: false for the judge vote, and where the judge, or one of the majority, gave the name itself
-- column note: not independent, and why where the judge is not vote
-- column judged: Of the first top_n spans, how many have a verdict (true or false)
-- column ties: How many have none because as many judges of the majority say that they fit as that they do not
-- column missing: How many have none at all: not asked, failed, or the judge could not say
-- column ccs: Of the first top_n spans, how many fit; null where none has a verdict
-- column ccs_group: high: all top_n fit, low: at most 1, moderate: between; null unless all top_n have a verdict
-- column chance: How many fit on average where names are shuffled over the model's named heads, for the judge vote; else null
-- column chance_low: Lower end of the interval in which level of the shufflings lie: the percentiles of their counts
-- column chance_high: Upper end of this interval
-- column excess: ccs - chance
with carried as (
    select
        model_id, pooling, property_key, count(*) as carriers,
        sum(count(*)) over (partition by model_id, pooling) as n
    from (select *, layer < 0 as pooling from current_names)
    group by model_id, pooling, property_key
),
counted as (
    select model_id, layer, head, fit, any_value(n) as n, sum(carriers) as names
    from (select *, layer < 0 as pooling from tag_fits(top_n := top_n, names_in := 'current_names'))
    join carried using (model_id, pooling, property_key)
    group by model_id, layer, head, fit
),
summed as ( -- up_to: how many of the n names at most that many spans fit
    select *, n - sum(names) over of_head as none, n - sum(names) over (of_head order by fit desc) + names as up_to
    from counted
    window of_head as (partition by model_id, layer, head)
),
shuffled as (
    select
        model_id, layer, head, sum(fit * names) / any_value(n) as mean,
        min(if(none >= (1 - level) / 2 * n - 1e-9, 0, fit)) filter (up_to >= (1 - level) / 2 * n - 1e-9) as low,
        min(if(none >= (1 + level) / 2 * n - 1e-9, 0, fit)) filter (up_to >= (1 + level) / 2 * n - 1e-9) as high
    from summed
    group by model_id, layer, head
)
select
    scores.* exclude (pool, labeller, span_pool),
    if(judge = 'vote' and judged > 0, coalesce(mean, 0), null) as chance,
    if(chance is null, null, coalesce(shuffled.low, 0))::bigint as chance_low,
    if(chance is null, null, coalesce(shuffled.high, 0))::bigint as chance_high,
    ccs - chance as excess
from source_ccs(top_n := top_n, names_in := 'current_names') as scores
left join shuffled using (model_id, layer, head)
