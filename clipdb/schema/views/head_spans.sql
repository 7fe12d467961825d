-- The spans that stand for each head: those of the pool that its current label comes from. Where there is no label,
-- or no span of that pool, those of the pool that was spanned last.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column pool: Pool that the spans are from
-- column rank: Order of the pick, counted from 1
-- column text_id: The description
-- column text: The description itself
-- column variance_explained: Variance of the head that this pick explains, fraction 0..1
-- column cumulative_variance: Variance of the head that this pick and those before it explain, fraction 0..1
-- column stability: Of the first five picks: in how many of two halves of the images they are found as well, 0, 0.5 or 1
with pool_of_head as (
    select
        model_id, layer, head,
        if(list_contains(pools, head_properties.pool), head_properties.pool, last_pool) as pool
    from head_pools left join head_properties using (model_id, layer, head)
)
select model_id, layer, head, pool, rank, text_id, text, variance_explained, cumulative_variance, stability
from spans semi join pool_of_head using (model_id, layer, head, pool)
