-- What each rater says of each item: the ground that agreement is counted on. Of labels, the item is a head, the rater
-- a labeller and the value its newest name of the head, whichever pool it saw. An LLM that finds that no name fits has
-- the value "none of these", a person who says only that a name is wrong "not NAME". Of judgements, the item is a head,
-- a property and a description, the rater a judge and the value its latest verdict. Calls that failed, verdicts that
-- say neither and heads for which zero-shot found no clear name are no ratings, nor are verdicts on other heads' names
-- (chance_verdicts).
-- param of_pool = null: only names given from the spans of this pool; null for any
-- column kind: labels or judgements
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column name: The head as people write it: L11.H3
-- column text_id: The description judged; null for labels
-- column property_key: The property it was judged against, as properties are compared; null for labels
-- column rater: Who said it: a labeller or a judge
-- column value: The property, or "not" and a property that is wrong, as properties are compared; or true or false
-- column rejected: The property that the rater says is wrong, where it says no more; null for judgements
-- column pool: Pool whose spans or descriptions the labeller saw; null for judgements
-- column run: Run that wrote the rating
with named as (
    select
        model_id, layer, head, labeller,
        if(status = 'rejected', 'not ', '')
            || coalesce(normal_property(property), if(labeller in ('evidence', 'zero-shot'), null, 'none of these')) as value,
        if(status = 'rejected', normal_property(property), null) as rejected, pool, run
    from labels
    where (status = 'ok' or status = 'rejected' and labeller_rank(labeller) = 1)
        and (normal_property(property) is not null or status = 'ok' and labeller_rank(labeller) in (2, 3, 5))
        and (of_pool is null or pool = of_pool)
    qualify row_number() over (
        partition by model_id, layer, head, labeller order by created_at desc, run desc, pool
    ) = 1 and value is not null
)
select
    'labels' as kind, model_id, layer, head, format('L{}.H{}', layer, head) as name, null::text as text_id,
    null::text as property_key, labeller as rater, value, rejected, pool, run
from named
union all
select
    'judgements', model_id, layer, head, format('L{}.H{}', layer, head), text_id,
    property_key, judge, verdict::text, null, null, run
from latest_verdicts
anti join chance_verdicts using (model_id, layer, head, text_id, property_key, judge)
where verdict is not null and judge <> 'majority'
