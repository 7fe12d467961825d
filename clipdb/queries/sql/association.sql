-- How well heads' spans fit their property
--
-- association is the share of judged heads of which at least min-agree of the first top spans are judged to fit the
-- property. Higher is better. A head with too few verdicts is unjudged and not counted. Judges are never mixed; verdicts
-- of the judge vote come from the same tags as its labels, so they are not independent of them.
--
-- $by choice(model|layer|property) = model: What a row is.
-- $min_agree integer = 3: How many spans must fit.
-- $top integer = 5: How many spans to look at.
-- $model model optional: Only this model.
-- needs: labels, judgements

with parts as (
    select
        model_id, 'all heads' as part, -1 as place, judge, note, association, associated_heads, judged_heads,
        unjudged_heads
    from association(min_agree := $min_agree, top_n := $top) where $by = 'model'
    union all
    select
        model_id, 'layer ' || layer, layer, judge, note, association, associated_heads, judged_heads, unjudged_heads
    from association_by_layer(min_agree := $min_agree, top_n := $top) where $by = 'layer'
    union all
    select
        model_id, property, -labelled_heads, judge, note, association, associated_heads, judged_heads, unjudged_heads
    from association_by_property(min_agree := $min_agree, top_n := $top) where $by = 'property'
)
select model_id, part, judge, note, association, associated_heads, judged_heads, unjudged_heads
from parts
where $model is null or model_id = $model
order by model_id, place, part, judge
