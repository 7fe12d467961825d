-- Properties by layer
--
-- One row per property of a layer: how many of the layer's heads carry it, which, and what share of the layer's labelled
-- heads and of the variance of all its heads they are. DuckDB's `pivot` turns it into a table of layers by properties.
--
-- $property property optional: Only this property, or those that have it as a part.
-- $model model optional: Only this model.
-- needs: labels
-- empty: no head has a clear name, see `clipdb query heads` for the reasons

with layer_sums as (
    select model_id, layer, sum(total_variance) as variance from heads group by model_id, layer
),
carried as (
    select
        model_id, layer, property_key as property, count(*) as heads, list(name order by head) as carried_by,
        sum(total_variance) as variance
    from head_properties
    left join (select model_id, layer, head, total_variance from heads) using (model_id, layer, head)
    group by model_id, layer, property_key
)
select
    model_id, layer, property, heads, carried_by,
    heads / sum(heads) over (partition by model_id, layer) as share_of_heads,
    carried.variance / layer_sums.variance as share_of_variance
from carried
left join layer_sums using (model_id, layer)
where $model is null or model_id = $model
qualify $property is null or contains(same_spelling(property), same_spelling($property))
order by model_id, layer, heads desc, property
