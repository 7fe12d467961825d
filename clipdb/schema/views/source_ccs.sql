-- Concept Consistency Score (arXiv 2503.11103) of every name that is scored (source_names), for each judge of its
-- model: how many of the head's first spans fit the name. ccs is this for the current names.
-- param top_n = 5: how many spans to look at
-- param names_in = 'source_names': relation with the names, by its name
-- column model_id: Model with weights
-- column pool: Pool whose spans or descriptions the labeller saw; null for current
-- column labeller: Who named the head, or current
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The property
-- column property_key: The property as properties are compared
-- column judge: Who judged, or majority (over all judges but vote, where the model has two of these)
-- column independent: false for the judge vote, and where the judge, or one of the majority, gave the name itself
-- column note: not independent, and why where the judge is not vote
-- column judged: Of the first top_n spans, how many have a verdict (true or false)
-- column ties: How many have none because as many judges of the majority say that they fit as that they do not
-- column missing: How many have none at all: not asked, failed, or the judge could not say
-- column ccs: How many fit; null where none has a verdict
-- column ccs_group: high: all top_n fit, low: at most 1, moderate: between; null unless all top_n have a verdict
-- column span_pool: Pool that the spans are from; null where the head has none
with names as (
    select given.*, if(list_contains(pools, given_from), given_from, last_pool) as span_pool
    from query_table(names_in) as given left join head_pools using (model_id, layer, head)
),
about_names as (
    select model_id, layer, head, text_id, property, judge, run, verdict, status
    from (select *, normal_property(property) as property_key from judgements)
    semi join names using (model_id, layer, head, property_key)
),
spans_of as (
    select model_id, layer, head, pool as span_pool, count(*) as spans from spans where rank <= top_n group by all
),
counted as (
    from name_fits(top_n := top_n, judgements_in := 'about_names')
),
own as (select * rename judge as given_by from counted where judged > 0),
scored as (
    select
        names.*, judge, coalesce(spans, 0) as spans, coalesce(counted.judged, 0) as judged,
        coalesce(counted.ties, 0) as ties, counted.fit,
        -- The majority is not independent where one of its judges is not.
        own.judged > 0 and counted.judged > 0 and (judge = given_by or (judge = 'majority' and given_by <> 'vote')) as own
    from names
    join model_judges using (model_id)
    left join spans_of using (model_id, layer, head, span_pool)
    left join own using (model_id, layer, head, span_pool, property_key, given_by)
    left join counted using (model_id, layer, head, span_pool, property_key, judge)
)
select
    model_id, pool, labeller, layer, head, name, property, property_key, judge,
    judge <> 'vote' and not coalesce(own, false) as independent,
    case when judge = 'vote' then 'not independent' when own then 'not independent: own name' end as note,
    judged, ties, spans - judged - ties as missing,
    if(judged > 0, fit, null) as ccs,
    case when judged < top_n then null when fit = top_n then 'high' when fit <= 1 then 'low' else 'moderate' end
        as ccs_group,
    span_pool
from scored
