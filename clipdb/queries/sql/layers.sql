-- Layers
--
-- One row per layer: how many heads it has and how many are labelled, their properties, the variance of their vectors in
-- total, the mean of their effective ranks, and the mean share of their variance that their spans explain.
--
-- $model model optional: Only layers of this model.
-- needs: heads

with spanned as (
    select model_id, layer, head, max(cumulative_variance) as explained
    from head_spans
    group by model_id, layer, head
)
select
    model_id, layer, count(*) as heads, count(property_key) as labelled,
    list(distinct property_key order by property_key) filter (property_key is not null) as properties,
    sum(total_variance) as total_variance, avg(heads.effective_rank) as effective_rank,
    avg(spanned.explained) as explained
from heads
left join head_properties using (model_id, layer, head)
left join spanned using (model_id, layer, head)
where $model is null or model_id = $model
group by model_id, layer
order by model_id, layer
