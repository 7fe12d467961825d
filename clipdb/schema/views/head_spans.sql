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
with pools_of_head as (
    select model_id, layer, head, pool, max(run) as run
    from spans
    group by model_id, layer, head, pool
),
pool_of_head as (
    select pools_of_head.*
    from pools_of_head left join head_properties using (model_id, layer, head)
    qualify row_number() over (
        partition by pools_of_head.model_id, pools_of_head.layer, pools_of_head.head
        order by pools_of_head.pool = head_properties.pool desc nulls last, pools_of_head.run desc, pools_of_head.pool
    ) = 1
)
select model_id, layer, head, pool, rank, text_id, text, variance_explained, cumulative_variance
from spans semi join pool_of_head using (model_id, layer, head, pool)
