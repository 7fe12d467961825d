-- Concept Consistency Score of each labelled head (arXiv 2503.11103), for each judge that judged its model: how many
-- of its first spans fit its property. Judges are never mixed.
-- param top_n = 5: how many spans to look at
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column property: The head's current property
-- column property_key: The property as properties are compared
-- column judge: Who judged
-- column independent: false for the judge vote, whose verdicts come from the same tags as its labels
-- column note: not independent, for the judge vote
-- column judged: Of the first top_n spans, how many have a verdict (true or false)
-- column ccs: Of the first top_n spans, how many fit; null where none has a verdict
-- column ccs_group: high: all top_n fit, low: at most 1, moderate: between; null unless all top_n have a verdict
with judges as (
    select distinct model_id, judge from judgements
),
counted as (
    select model_id, layer, head, judge, count(verdict) as judged, count_if(verdict) as fit
    from head_verdicts
    where rank <= top_n
    group by model_id, layer, head, judge
)
select
    model_id, layer, head, head_properties.name, head_properties.property, head_properties.property_key,
    judge, judge <> 'vote' as independent, if(judge = 'vote', 'not independent', null) as note,
    coalesce(judged, 0) as judged,
    if(judged > 0, fit, null)::bigint as ccs,
    case when coalesce(judged, 0) < top_n then null
        when fit = top_n then 'high' when fit <= 1 then 'low' else 'moderate' end as ccs_group
from head_properties
join judges using (model_id)
left join counted using (model_id, layer, head, judge)
