-- Properties and the heads that carry them
--
-- One row per property: how many heads carry it, and which, by layer and head; share and confidence (see the query heads)
-- are means over those that have one.
--
-- $model model optional: Only this model.
-- needs: labels
-- empty: no head has a clear name, see `clipdb query heads` for the reasons

select
    model_id, property_key as property, count(*) as heads, list(name order by layer, head) as carried_by,
    avg(share) as share, avg(confidence) as confidence
from head_properties
where $model is null or model_id = $model
group by model_id, property_key
order by model_id, heads desc, property_key
