-- The pools that each head has spans of.
-- column model_id: Model with weights
-- column layer: Layer, counted from 0
-- column head: Head within its layer, counted from 0
-- column last_pool: Pool that was spanned last
-- column pools: All of them, in order of their names
with spanned as (
    select model_id, layer, head, pool, max(run) as run from spans group by model_id, layer, head, pool
)
select model_id, layer, head, arg_max(pool, (run, pool)) as last_pool, list(pool order by pool) as pools
from spanned
group by model_id, layer, head
