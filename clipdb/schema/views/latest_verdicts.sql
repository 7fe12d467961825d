-- The verdicts that count on a text and a property of a head, whether or not the head still has it: each judge's latest,
-- and, where at least two judges other than vote judged the model, those of the judge 'majority' over all but vote.
-- Calls that failed are no verdicts.
-- param judgements_in = 'judgements': relation with the judgements, by its name
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column text_id: The text
-- column property_key: The property as properties are compared
-- column judge: Who judged, or majority
-- column verdict: true: it fits, false: it does not, null: the judge could not say, or the majority is a tie or empty
-- column yes: Judges who say that it fits: 1 or 0, or more for the majority
-- column no: Judges who say that it does not
-- column run: Run that wrote the verdict; for the majority the last one of its judges'
with said as (
    select
        model_id, layer, head, text_id, normal_property(property) as property_key, judge,
        arg_max_null(verdict, (run, property)) as verdict, max(run) as run
    from query_table(judgements_in)
    where status = 'ok'
    group by all
),
majority as (
    select
        model_id, layer, head, text_id, property_key,
        count(*) filter (verdict) as yes, count(*) filter (not verdict) as no, max(run) as run
    from said semi join (from model_judges where judge = 'majority') using (model_id)
    where judge <> 'vote'
    group by model_id, layer, head, text_id, property_key
)
select
    model_id, layer, head, text_id, property_key, judge, verdict,
    coalesce(verdict, false)::bigint as yes, coalesce(not verdict, false)::bigint as no, run
from said
union all
select
    model_id, layer, head, text_id, property_key, 'majority', case when yes > no then true when yes < no then false end,
    yes, no, run
from majority
