-- How much of each head its spans explain
--
-- One row per head and pool: the share of the head's variance that the first span explains, and all of them together; those
-- that are explained least come first. What is left can't be put into words with this pool.
--
-- $model model optional: Only heads of this model.
-- $pool pool optional: Only spans picked from this pool.
-- needs: spans

select
    model_id, name as head, property, counted.pool, counted.spans, first_variance, variance, heads.effective_rank
from (
    select
        model_id, layer, head, pool, count(*) as spans,
        arg_min(variance_explained, rank) as first_variance, max(cumulative_variance) as variance
    from spans
    group by model_id, layer, head, pool
) as counted
join heads using (model_id, layer, head)
left join (select model_id, layer, head, property from head_properties) using (model_id, layer, head)
where ($model is null or model_id = $model) and ($pool is null or counted.pool = $pool)
order by variance nulls last, model_id, layer, counted.head, counted.pool
